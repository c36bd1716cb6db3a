/**
 * The outline of an xz stream (The .xz File Format 1.2, sections 2 to 4), from its end.
 *
 * | where     | size | what                                                        |
 * |-----------|------|-------------------------------------------------------------|
 * | start     | 12   | FD "7zXZ" 00, flags, CRC-32                                 |
 * | then      |      | blocks, each a multiple of 4 bytes                          |
 * | then      |      | index: 00, count, (unpadded size, raw size)…, padding, CRC-32 |
 * | end − 12  | 12   | CRC-32, size of the index / 4 − 1, flags, "YZ"              |
 *
 * 1. The index says how long the one stream is that ends here, and how many raw bytes it gives.
 * 2. Decoders read streams that follow one another, and padding, without a word; a frame is one
 *    stream, so its length must be the whole of the packed bytes.
 *
 * Not promised: that the index is true; the decoder compares it with the blocks.
 */

const HEADER_MAGIC = Buffer.from('fd377a585a00', 'hex')
const ENDS_BYTES = 12

export interface XzOutline {
  /** Of the last stream, its header and footer included. */
  readonly streamBytes: number
  readonly rawBytes: number
}

/** `undefined` when the bytes do not end in an xz stream. */
export function outlineXz(packed: Uint8Array): XzOutline | undefined {
  const view = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  if (view.length < 2 * ENDS_BYTES || view.length % 4 !== 0) return undefined
  const footer = view.length - ENDS_BYTES
  if (!view.subarray(0, 6).equals(HEADER_MAGIC)) return undefined
  if (view.toString('latin1', view.length - 2) !== 'YZ') return undefined
  const indexBytes = (view.readUInt32LE(footer + 4) + 1) * 4
  if (indexBytes > footer - ENDS_BYTES) return undefined
  const sums = sumRecords(view.subarray(footer - indexBytes, footer))
  if (sums === undefined) return undefined
  return {
    streamBytes: 2 * ENDS_BYTES + indexBytes + sums.blockBytes,
    rawBytes: sums.rawBytes,
  }
}

function sumRecords(index: Buffer): { blockBytes: number; rawBytes: number } | undefined {
  const numbers = readNumbers(index)
  if (index[0] !== 0) return undefined
  const count = numbers.next().value ?? 0
  let blockBytes = 0
  let rawBytes = 0
  for (let record = 0; record < count; record += 1) {
    const unpadded = numbers.next().value
    const raw = numbers.next().value
    if (unpadded === undefined || raw === undefined) return undefined
    blockBytes += Math.ceil(unpadded / 4) * 4
    rawBytes += raw
  }
  return { blockBytes, rawBytes }
}

/** Seven bits a byte, the lowest first; the top bit says that more follow. */
function* readNumbers(index: Buffer): Generator<number, undefined> {
  let value = 0
  let scale = 1
  for (const byte of index.subarray(1)) {
    value += (byte & 0x7f) * scale
    scale *= 128
    if ((byte & 0x80) !== 0) continue
    yield value
    value = 0
    scale = 1
  }
  return undefined
}
