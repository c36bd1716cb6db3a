/** The jobs of the image writer done in this thread, over files in a folder that is removed. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { packedBound } from '../../../src/format/codec.ts'
import { LIMITS } from '../../../src/format/limits.ts'
import { chunkSlotBytes } from '../../../src/pack/image/chunk-slot.ts'
import type { OpenedPayload, PackSetup } from '../../../src/pack/image/jobs.ts'
import { makeKernel } from '../../../src/pack/image/kernel.ts'
import { WINDOW_BYTES } from '../../../src/pack/image/raw-ring.ts'
import { makeRangeTable } from '../../../src/pack/image/unused.ts'
import { packJobs } from '../../../src/pack/image/workers.ts'
import type { ByteRange } from '../../../src/pack/source.ts'
import { makeSlots } from '../../../src/system/shared-buffers.ts'
import { makeFolder } from './fixtures.ts'

/** Small chunks, so that little data makes many. */
export const CHUNK_OCTET = 6
export const CHUNK_BYTES = 4_096
export const RAW_SLOTS = 12
export const SESSION_KEY = Buffer.alloc(32, 0x5a)

export interface InlinePayload {
  readonly raw: Uint8Array
  readonly unused?: readonly ByteRange[]
  /** Length of the payload; default: that of the file. */
  readonly bytes?: number
}

export async function makeInlineJobs(payloads: readonly InlinePayload[], chunkSlots = 4) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeFolder())
  const create = async (name: string) => {
    const path = join(folder.path, name)
    const handle = stack.use(await open(path, 'wx+'))
    return { path, handle, fd: handle.fd }
  }
  const opened: OpenedPayload[] = []
  for (const [i, { raw, unused = [], bytes = raw.length }] of payloads.entries()) {
    const { path, handle, fd } = await create(`payload-${i}`)
    await handle.write(raw, 0, raw.length, 0)
    opened.push({ path, fd, fileOffset: 0, unused: makeRangeTable(unused, bytes) })
  }
  const spool = await create('spool')
  const image = await create('image')
  const setup: PackSetup = {
    payloads: opened,
    spool: { path: spool.path, fd: spool.fd },
    image: { path: image.path, fd: image.fd },
    codec: 'zstd',
    level: 1,
    aead: 'ocb',
    chunkOctet: CHUNK_OCTET,
    sessionKey: SESSION_KEY,
    rawSlots: makeSlots(RAW_SLOTS + 1, WINDOW_BYTES),
    packedSlots: makeSlots(2, packedBound(LIMITS.frameRawBytes)),
    chunkSlots: makeSlots(chunkSlots, chunkSlotBytes(CHUNK_BYTES)),
  }
  const kernel = makeKernel(setup)
  const jobs = packJobs(async (job) => kernel(job))
  const kept = stack.move()
  return { setup, spool, image, kernel, jobs, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}
