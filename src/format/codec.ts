/**
 * The two codecs of frames, behind one small interface.
 *
 * 1. `zstd`: through `zstd-napi/binding`, which compresses and decompresses between buffers of
 *    ours at the speed of the C library. Content size and no dictionary are always set.
 * 2. `xz`: through `@napi-rs/lzma`; each frame is one xz stream. It allocates its output.
 * 3. A decoder delivers bytes before it notices an error, and reads concatenated frames without
 *    a word; so `decompress` wants exactly one frame and exactly `out.length` bytes.
 *
 * Not promised: that either is safe in two threads at once. Each worker makes its own.
 */
import { createRequire } from 'node:module'
import { OsflashError } from '../errors.ts'
import { LIMITS } from './limits.ts'
import type { CodecName } from './manifest.ts'
import { outlineXz } from './xz-stream.ts'

/** The parts of zstd's C interface used here. CommonJS: its exports are made at load time. */
type ZstdBinding = typeof import('zstd-napi/binding.js')
const require = createRequire(import.meta.url)
const zstd: ZstdBinding = require('zstd-napi/binding.js')

/** Loaded when first used: an optional package, left out where npm ran under an older Node. */
function loadXz(): typeof import('@napi-rs/lzma').xz {
  try {
    const lzma: typeof import('@napi-rs/lzma') = require('@napi-rs/lzma')
    return lzma.xz
  } catch (cause) {
    throw new OsflashError('missing-tool', 'loading the xz codec: its native part is missing', {
      cause,
      hints: ['install osflash again with npm under Node 24.12 or newer'],
    })
  }
}

export interface Compressor {
  /** Packs `raw` into `out` and gives the length; `out` holds at least `packedBound` bytes. */
  compress(raw: Uint8Array, out: Uint8Array): number
}

export interface Decompressor {
  /** Unpacks exactly one frame into all of `out`. @throws OsflashError `format` */
  decompress(packed: Uint8Array, out: Uint8Array): void
}

/** The most bytes that `rawBytes` can become, in either codec. */
export const packedBound = (rawBytes: number): number => rawBytes + LIMITS.framePackedSlackBytes

/** A compressor for one thread. @param level within `CODEC_LEVELS` */
export function makeCompressor(codec: CodecName, level: number): Compressor {
  return codec === 'zstd' ? zstdCompressor(level) : xzCompressor()
}

/** A decompressor for one thread. */
export function makeDecompressor(codec: CodecName): Decompressor {
  return codec === 'zstd' ? zstdDecompressor() : xzDecompressor()
}

function zstdCompressor(level: number): Compressor {
  const context = new zstd.CCtx()
  context.setParameter(zstd.CParameter.compressionLevel, level)
  context.setParameter(zstd.CParameter.contentSizeFlag, 1)
  context.setParameter(zstd.CParameter.checksumFlag, 0)
  return {
    compress: (raw, out) => {
      // High levels ask for a window of up to 128 MiB; a frame never needs more than 4.
      context.setPledgedSrcSize(raw.length)
      return context.compress2(out, raw)
    },
  }
}

function zstdDecompressor(): Decompressor {
  const context = new zstd.DCtx()
  context.setParameter(zstd.DParameter.windowLogMax, LIMITS.windowLog)
  return {
    decompress: (packed, out) => {
      let produced: number
      try {
        checkZstdFrame(packed, out.length)
        produced = context.decompress(out, packed)
      } catch (cause) {
        if (cause instanceof OsflashError) throw cause
        throw damaged('the frame cannot be decompressed', cause)
      }
      if (produced !== out.length) throw damaged(`${produced} bytes where ${out.length} belong`)
    },
  }
}

/** RFC 8878, 3.1.1.1.2: exponent (5 bits), mantissa (3 bits), of the largest window. */
const MAX_WINDOW = (LIMITS.windowLog - 10) << 3

/** RFC 8878, 3.1.1.1: one frame with a content size, without dictionary, window in bounds. */
function checkZstdFrame(packed: Uint8Array, rawLength: number): void {
  const view = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  if (view.length < 6 || view.readUInt32LE(0) !== zstd.MAGICNUMBER) throw damaged('not a frame')
  const descriptor = view.readUInt8(4)
  if ((descriptor & 0b11) !== 0) throw damaged('the frame wants a dictionary')
  if (contentSize(view, descriptor) !== rawLength) {
    throw damaged('the frame says another size than the index')
  }
  if ((descriptor & 0b10_0000) === 0 && view.readUInt8(5) > MAX_WINDOW) {
    throw damaged('the window is too large')
  }
  if (zstd.findFrameCompressedSize(view) !== view.length) {
    throw damaged('there is more than one frame')
  }
}

function contentSize(view: Buffer, descriptor: number): number {
  const singleSegment = (descriptor & 0b10_0000) !== 0
  const at = singleSegment ? 5 : 6
  switch (descriptor >> 6) {
    case 0:
      return singleSegment ? view.readUInt8(at) : -1
    case 1:
      return view.readUInt16LE(at) + 256
    case 2:
      return view.readUInt32LE(at)
    default:
      return Number(view.readBigUInt64LE(at))
  }
}

function xzCompressor(): Compressor {
  const xz = loadXz()
  return {
    compress: (raw, out) => {
      const packed = xz.compressSync(raw)
      out.set(packed)
      return packed.length
    },
  }
}

function xzDecompressor(): Decompressor {
  const xz = loadXz()
  return {
    decompress: (packed, out) => {
      // Before the decoder allocates what it gives.
      const outline = outlineXz(packed)
      if (outline?.streamBytes !== packed.length) throw damaged('it is not one xz stream')
      if (outline.rawBytes !== out.length) {
        throw damaged('the xz stream says another size than the index')
      }
      let raw: Uint8Array
      try {
        raw = xz.decompressSync(packed)
      } catch (cause) {
        throw damaged('the xz stream cannot be decompressed', cause)
      }
      if (raw.length !== out.length) throw damaged(`${raw.length} bytes where ${out.length} belong`)
      out.set(raw)
    },
  }
}

function damaged(why: string, cause?: unknown): OsflashError {
  return new OsflashError('format', `decompressing a frame: ${why}`, { cause })
}
