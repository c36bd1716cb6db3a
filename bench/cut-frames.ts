/**
 * The frames of an image as plain zstd files, for `zstd -t` on several cores.
 *
 * 1. The index says which ranges of the source are frames; each is compressed as the packer
 *    does, so the bytes are those inside the segments.
 * 2. Frames go to FILES files in turn: `frames.0.zst` and so on.
 *
 * Use: node bench/cut-frames.ts IMAGE SOURCE FILES LEVEL
 */
import { open } from 'node:fs/promises'
import { openFileSource } from '../src/deliver/file.ts'
import { makeCompressor, packedBound } from '../src/format/codec.ts'
import { LIMITS } from '../src/format/limits.ts'
import { frameJobs } from '../src/unpack/frame-job.ts'
import { openImage } from '../src/unpack/image.ts'
import { loadPayloads } from '../src/unpack/payload.ts'

const [path = '', sourcePath = '', fileCount = '1', level = '3'] = process.argv.slice(2)
await using image = await openFileSource(path)
await using disk = await openFileSource(sourcePath)
const payloads = await loadPayloads(await openImage(image, undefined))
const compressor = makeCompressor('zstd', Number(level))
const raw = Buffer.alloc(LIMITS.frameRawBytes)
const packed = Buffer.alloc(packedBound(LIMITS.frameRawBytes))
const names = Array.from({ length: Number(fileCount) }, (_, i) => `frames.${i}.zst`)
const files = await Promise.all(names.map((name) => open(name, 'w')))
for (const { frame, rawOffset, rawLength } of payloads.flatMap((p, i) => [...frameJobs(p, i)])) {
  const bytes = raw.subarray(0, rawLength)
  await disk.read(rawOffset, bytes)
  await files[frame % files.length]?.write(packed, 0, compressor.compress(bytes, packed))
}
await Promise.all(files.map((file) => file.close()))
