/** Line icons, 24 x 24, in the color of the text. */

const PATHS = {
  photos: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  check: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM16 16l4.5 4.5M8 11l2.2 2.2L14.2 9",
  train: "M4 19h16M4 15l4-5 4 3 7-8M14.5 5H19v4.5",
  try: "M16 10.5l4.5-2.5v8L16 13.5M3.5 7h12.5v10H3.5z",
  choose: "M4 4v16h16M8 15h.01M11 11h.01M14.5 8.5h.01M18 7h.01",
  take: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M4.5 19.5h15",
  undo: "M9 7L4.5 11.5 9 16M5 11.5h9a5 5 0 0 1 0 10h-2",
  redo: "M15 7l4.5 4.5L15 16M19 11.5h-9a5 5 0 0 0 0 10h2",
  add: "M12 5v14M5 12h14",
  edit: "M5 19l1-4L16.5 4.5l3 3L9 18zM14 7l3 3",
  bin: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  exclude: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM6 6l12 12",
  include: "M5 12.5l4.5 4.5L19 7.5",
  move: "M3.5 18.5v-13h6l2 2.5h9v10.5zM9 13.5h6M12.5 11l2.5 2.5-2.5 2.5",
  close: "M6 6l12 12M18 6L6 18",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.2h.01",
  record: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  phone: "M8 3h8v18H8zM11.5 18h1",
  folder: "M3.5 18.5v-13h6l2 2.5h9v10.5z",
  file: "M6 3.5h8l4 4v13H6zM14 3.5v4h4",
  previous: "M14.5 5l-7 7 7 7",
  next: "M9.5 5l7 7-7 7",
  chip: "M7 7h10v10H7zM10 7V4M14 7V4M10 20v-3M14 20v-3M7 10H4M7 14H4M20 10h-3M20 14h-3",
  web: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM3.5 12h17M12 3.5c5 5 5 12 0 17M12 3.5c-5 5-5 12 0 17",
  home: "M4 11l8-7 8 7M6 9.5V20h12V9.5M10 20v-6h4v6",
  pi: "M4 7h16v10H4zM8 7v3M12 7v3M16 7v3M8 14h3M15.5 14h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
