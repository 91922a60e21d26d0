/** Pictures as JPEG files. */

const QUALITY = 0.92;
const LONGEST = 1280;

/** Encodes a picture, scaled down where it is larger than `LONGEST`, and closes it. */
export async function toJpeg(picture: ImageBitmap): Promise<Blob> {
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const canvas = new OffscreenCanvas(Math.round(picture.width * scale), Math.round(picture.height * scale));
  canvas.getContext("2d", { alpha: false })!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}
