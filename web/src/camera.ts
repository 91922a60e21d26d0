/** The live camera: the rear camera first, then the others. */
import { Sentence } from "./sentence";
import { cameraText } from "../text";

const SIZE = { width: { ideal: 640 }, height: { ideal: 480 } };

export class Camera {
  private stream?: MediaStream;
  private devices: MediaDeviceInfo[] = [];

  /** @param lost called when the camera is unplugged, or when the system takes it away */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly lost: () => void,
  ) {}

  /** Reason why this page cannot use a live camera; undefined if it can. */
  static obstacle(): string | undefined {
    if (window.isSecureContext && "mediaDevices" in navigator) return undefined;
    return window.isSecureContext ? cameraText.unsupported : cameraText.insecure;
  }

  get running(): boolean {
    return this.stream !== undefined;
  }

  /** Whether there are several cameras; known only after one was started. */
  get switchable(): boolean {
    return this.devices.length > 1;
  }

  /** Starts the rear camera. Rejects with Sentence. */
  start(): Promise<void> {
    return this.open({ facingMode: { ideal: "environment" } });
  }

  /** Switches to the next camera. Rejects with Sentence. */
  async next(): Promise<void> {
    const current = this.stream?.getVideoTracks()[0].getSettings().deviceId;
    const index = this.devices.findIndex((device) => device.deviceId === current);
    const { deviceId } = this.devices[(index + 1) % this.devices.length];
    this.stop(); // many phones open one camera at a time
    await this.open({ deviceId: { exact: deviceId } });
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
  }

  private async open(which: MediaTrackConstraints): Promise<void> {
    const obstacle = Camera.obstacle();
    if (obstacle) throw new Sentence(cameraText.instead(obstacle));
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...which, ...SIZE } });
      this.stream.getVideoTracks()[0].addEventListener("ended", this.lost);
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      throw new Sentence(explain(error));
    }
    const devices = await navigator.mediaDevices.enumerateDevices();
    this.devices = devices.filter((device) => device.kind === "videoinput");
  }
}

/** Whether a camera faces the user, so that its picture is mirrored. */
export function isFrontCamera(video: HTMLVideoElement): boolean {
  const track = (video.srcObject as MediaStream | null)?.getVideoTracks()[0];
  return track?.getSettings().facingMode === "user";
}

/** Calls `see` for each new frame until the returned function is called. */
export function eachFrame(video: HTMLVideoElement, see: () => void): () => void {
  let handle = 0;
  if ("requestVideoFrameCallback" in video) {
    const next = () => {
      handle = video.requestVideoFrameCallback(next);
      see();
    };
    handle = video.requestVideoFrameCallback(next);
    return () => video.cancelVideoFrameCallback(handle);
  }
  const next = () => {
    handle = requestAnimationFrame(next);
    see();
  };
  handle = requestAnimationFrame(next);
  return () => cancelAnimationFrame(handle);
}

function explain(error: unknown): string {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return cameraText.refused;
    case "NotFoundError":
    case "OverconstrainedError":
      return cameraText.missing;
    case "NotReadableError":
    case "AbortError":
      return cameraText.busy;
    default:
      return cameraText.failed(String(error));
  }
}
