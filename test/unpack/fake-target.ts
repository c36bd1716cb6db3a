/** A disk in memory that records what is done to it, and fails when told. */
import { OsflashError } from '../../src/errors.ts'
import type { Target } from '../../src/unpack/target.ts'

export interface FakeTarget extends Target {
  readonly disk: Buffer
  /** `write 0 512`, `zero 0 1048576`, `sync`, `publish`, in order. */
  readonly log: string[]
  /** Called before each act; what it throws, the act throws. */
  before: (act: string) => void
  /** Waited for by zeros that can be stopped. */
  zeroing: (signal: AbortSignal) => Promise<void>
}

export function fakeTarget(bytes: number, blank: boolean): FakeTarget {
  const disk = Buffer.alloc(bytes, blank ? 0 : 0xee)
  const log: string[] = []
  const fake: FakeTarget = {
    path: 'fake',
    bytes,
    identity: 'fake',
    diskKind: 'unknown',
    blank,
    direct: true,
    disk,
    log,
    before: () => undefined,
    zeroing: async () => undefined,
    write: async (offset, piece) => {
      act(`write ${offset} ${piece.length}`)
      disk.set(piece, offset)
    },
    read: async (offset, into) => {
      if (offset + into.length > bytes) {
        throw new OsflashError('io', `reading fake at byte ${bytes}: the target ends here`)
      }
      into.set(disk.subarray(offset, offset + into.length))
    },
    zero: (offset, length) => fake.zeroAll([{ offset, length }]),
    zeroAll: async (ranges, signal) => {
      if (signal !== undefined) await fake.zeroing(signal)
      for (const { offset, length } of ranges) {
        act(`zero ${offset} ${length}`)
        disk.fill(0, offset, offset + length)
      }
    },
    sync: async () => act('sync'),
    dropCache: async () => undefined,
    publish: async () => act('publish'),
    [Symbol.asyncDispose]: async () => undefined,
  }
  const act = (text: string): void => {
    fake.before(text)
    log.push(text)
  }
  return fake
}
