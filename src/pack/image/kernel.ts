/**
 * The work of one thread of the image writer, without the thread.
 *
 * 1. `scan` reads a window of a payload into the ring and says of each cell if it is UNUSED (by
 *    the table), ZERO (by its bytes, so that holes make no difference) or DATA.
 * 2. `compress` takes the bytes of a frame from the ring, digests them raw and packs them into a
 *    slot.
 * 3. `seal` seals a chunk in its slot, digests the block and writes it to the spool file.
 * 4. `sha256` digests a member of the spool file; `copy` copies a part of it to the image.
 *
 * Every kernel has buffers of its own: two threads share nothing but slots and files.
 */
import { createHash } from 'node:crypto'
import { blake3 } from '@napi-rs/blake-hash'
import { deriveSegmentKey, type SegmentKey, sealChunk } from '../../encrypt/seipd.ts'
import { type Compressor, makeCompressor } from '../../format/codec.ts'
import { slotView } from '../../system/shared-buffers.ts'
import type { Numbers } from '../../system/worker-pool.ts'
import { MIB } from '../../units.ts'
import { blockOf, plainOf, saltOf, sealedOf } from './chunk-slot.ts'
import { CELL_BYTES, GAP_BYTES_MIN } from './extents.ts'
import { readRange, writeRange } from './file-range.ts'
import { OPERATION, type PackSetup } from './jobs.ts'
import { isUnused, zeroUnused } from './unused.ts'

/** Pieces of files that are only passed on: they stay in the cache of a core. */
const PIECE_BYTES = MIB
const ZERO_CELL = Buffer.alloc(CELL_BYTES)

interface Kernel {
  readonly setup: PackSetup
  /** For a piece of a file. */
  readonly buffer: Uint8Array
  readonly compressor: Compressor
  /** The key of the segment last sealed from; segments are sealed one after another. */
  key: { readonly salt: Buffer; readonly segment: SegmentKey } | undefined
}

/** Gives the function that does one job after another. */
export function makeKernel(setup: PackSetup): (job: Numbers) => Numbers {
  const kernel: Kernel = {
    setup,
    buffer: Buffer.allocUnsafeSlow(PIECE_BYTES),
    compressor: makeCompressor(setup.codec, setup.level),
    key: undefined,
  }
  return ([operation, ...numbers]) => {
    switch (operation) {
      case OPERATION.scan:
        return scan(kernel, numbers)
      case OPERATION.compress:
        return compress(kernel, numbers)
      case OPERATION.seal:
        return seal(kernel, numbers)
      case OPERATION.sha256:
        return sha256(kernel, numbers)
      case OPERATION.copy:
        return copy(kernel, numbers)
      default:
        throw new RangeError(`no operation ${operation}`)
    }
  }
}

/** payload, offset, length, slot -> kind of each cell: 0 DATA, 1 ZERO, 2 UNUSED. */
function scan(
  { setup }: Kernel,
  [payload = -1, offset = 0, length = 0, slot = -1]: Numbers,
): Numbers {
  const opened = setup.payloads[payload]
  if (opened === undefined) throw new RangeError(`no payload ${payload}`)
  const { unused, fileOffset } = opened
  const raw = slotView(setup.rawSlots, slot, length)
  const cells = Array.from({ length: Math.ceil(length / CELL_BYTES) }, (_, i) => i * CELL_BYTES)
  if (isUnused(unused, offset, offset + length)) {
    // A gap that is too short to be one becomes DATA, of zeros.
    raw.fill(0, 0, GAP_BYTES_MIN)
    return cells.map(() => 2)
  }
  readRange(opened, fileOffset + offset, raw)
  zeroUnused(unused, offset, raw)
  return cells.map((at) => {
    const cell = raw.subarray(at, at + CELL_BYTES)
    if (isUnused(unused, offset + at, offset + at + cell.length)) return 2
    return Buffer.compare(cell, ZERO_CELL.subarray(0, cell.length)) === 0 ? 1 : 0
  })
}

/** place in the ring, length, slot -> packed length, BLAKE3 of the raw bytes. */
function compress(kernel: Kernel, [at = 0, length = 0, slot = -1]: Numbers): Numbers {
  const raw = ringBytes(kernel, at, length)
  const out = slotView(kernel.setup.packedSlots, slot)
  return [kernel.compressor.compress(raw, out), ...blake3(raw)]
}

/** A run of bytes in the ring; what goes on at its start is copied behind its end. */
function ringBytes({ setup }: Kernel, at: number, length: number): Uint8Array {
  const { memory, base, slotBytes, count } = setup.rawSlots
  // The last slot is for this. A frame keeps its windows, so no two frames cross at a time.
  const end = (count - 1) * slotBytes
  const rest = at + length - end
  if (rest > 0) new Uint8Array(memory, base + end).set(new Uint8Array(memory, base, rest))
  return new Uint8Array(memory, base + at, length)
}

/** slot, index, plaintext bytes, last (1 or 0), place in the spool file -> BLAKE3 of the block. */
function seal(kernel: Kernel, job: Numbers): Numbers {
  const [slot = -1, index = 0, plainBytes = 0, last = 0, place = 0] = job
  const view = slotView(kernel.setup.chunkSlots, slot)
  const key = segmentKey(kernel, saltOf(view))
  sealChunk(key, { index, input: plainOf(view, plainBytes), out: sealedOf(view, plainBytes) })
  const block = blockOf(view, { slot, index, plainBytes, last: last === 1 })
  writeRange(kernel.setup.spool, place, block)
  return [...blake3(block)]
}

/** place in the spool file, bytes -> SHA-256. */
function sha256(kernel: Kernel, [place = 0, bytes = 0]: Numbers): Numbers {
  const hash = createHash('sha256')
  eachPiece(kernel, bytes, (piece, at) => {
    readRange(kernel.setup.spool, place + at, piece)
    hash.update(piece)
  })
  return [...hash.digest()]
}

/** place in the spool file, place in the image, bytes -> nothing. */
function copy(kernel: Kernel, [from = 0, to = 0, bytes = 0]: Numbers): Numbers {
  eachPiece(kernel, bytes, (piece, at) => {
    readRange(kernel.setup.spool, from + at, piece)
    writeRange(kernel.setup.image, to + at, piece)
  })
  return []
}

function eachPiece(
  { buffer }: Kernel,
  bytes: number,
  use: (piece: Uint8Array, at: number) => void,
): void {
  for (let at = 0; at < bytes; at += buffer.length) {
    use(buffer.subarray(0, Math.min(buffer.length, bytes - at)), at)
  }
}

function segmentKey(kernel: Kernel, salt: Uint8Array): SegmentKey {
  if (kernel.key?.salt.equals(salt)) return kernel.key.segment
  const { sessionKey, aead, chunkOctet } = kernel.setup
  const own = Buffer.from(salt)
  kernel.key = {
    salt: own,
    segment: deriveSegmentKey(sessionKey, { aead, chunkOctet, salt: own }),
  }
  return kernel.key.segment
}
