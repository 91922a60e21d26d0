/** The QR code that opens the studio on a phone. */
import { useEffect, useState } from "preact/hooks";
import { get, ServerError } from "./api";
import { Dialog } from "./dialog";
import { complain } from "./store";
import { text } from "../text";

interface Phone {
  readonly url: string;
  readonly qr_svg: string;
}

/** @param step step that opens on the phone */
export function PhoneDialog({ step, onClose }: { step: "photos" | "try"; onClose(): void }) {
  const [phone, setPhone] = useState<{ url: string; image: string } | undefined>();
  const [refused, setRefused] = useState<string | undefined>();
  useEffect(() => {
    let image: string | undefined;
    get<Phone>(`/api/phone?step=${step}`).then(
      ({ url, qr_svg }) => {
        image = URL.createObjectURL(new Blob([qr_svg], { type: "image/svg+xml" }));
        setPhone({ url, image });
      },
      (error) => {
        if (error instanceof ServerError && error.status === 409) setRefused(error.message);
        else complain(error);
      },
    );
    return () => image && URL.revokeObjectURL(image);
  }, []);
  return (
    <Dialog title={text.phone.title} onClose={onClose}>
      {phone && (
        <div class="phone">
          <img class="qr" src={phone.image} alt={text.phone.code} />
          <p>{text.phone.scan[step]}</p>
          <p class="note">{text.phone.certificate}</p>
          <code class="address">{phone.url}</code>
        </div>
      )}
      {refused !== undefined && (
        <div class="phone">
          <p>{text.phone.not}</p>
          <p>{refused}</p>
        </div>
      )}
    </Dialog>
  );
}
