/**
 * Writes checkpoints beside the writing of a disk, one at a time.
 *
 * 1. Due: after a quarter of a second and 32 MiB, at the latest after 128 MiB (see `isDue`). On
 *    ext4 a flush beside the writing takes 30 to 60 ms. At 2 GB/s, every 32 MiB cost a third of
 *    the rate, because writing waited for the flush before; every 128 MiB cost nothing.
 * 2. What is counted was ended before the flush began; the number is written down after it.
 * 3. Writing waits only where the next checkpoint is due while one is still being written.
 * 4. Whoever reads back is told what a flush has made safe.
 * 5. After a flush that failed there is no checkpoint any more: the system tells of a lost page
 *    once, and the next flush of the same file succeeds.
 */
import { MIB } from '../units.ts'
import {
  type CheckpointKey,
  type DiskProgress,
  FrameCounter,
  writeCheckpoint,
} from './checkpoint.ts'

const LEAST_BYTES = 32 * MIB
/** What may be written between two checkpoints. */
export const CHECKPOINT_MOST_BYTES = 128 * MIB
const INTERVAL_MS = 250

export interface SaverOptions {
  readonly sync: () => Promise<void>
  readonly checkpoint: { readonly path: string; readonly key: CheckpointKey }
  /** What earlier runs did. */
  readonly start: DiskProgress
  readonly saved: (progress: DiskProgress) => void
  readonly nowMs?: () => number
}

export interface Saver {
  /** @throws what the last checkpoint failed with */
  wrote(frame: number, bytes: number): Promise<void>
  /** All ranges up to this many bytes are zero. */
  zeroed(bytes: number): void
  /** Writes a checkpoint of all that was told, after the one under way. */
  last(): Promise<void>
  /** The same of a run that failed, if a frame would be saved; what goes wrong is kept quiet. */
  rescue(): Promise<void>
}

/** Whether `bytes` written in `ms` are worth a checkpoint. */
export function isDue(bytes: number, ms: number): boolean {
  return bytes >= CHECKPOINT_MOST_BYTES || (bytes >= LEAST_BYTES && ms >= INTERVAL_MS)
}

export function makeSaver(options: SaverOptions): Saver {
  const { nowMs = () => performance.now(), start } = options
  const counter = new FrameCounter(start.frames)
  let zeroedBytes = start.zeroedBytes
  let bytes = 0
  let begunMs = nowMs()
  let saving: Promise<void> | undefined
  let failure: unknown
  const save = async (): Promise<void> => {
    const progress = { frames: counter.prefix, zeroedBytes }
    try {
      await options.sync()
      const { path, key } = options.checkpoint
      await writeCheckpoint(path, { format: 'osflash-checkpoint/2', ...key, ...progress })
    } catch (error) {
      failure ??= error
      throw error
    }
    options.saved(progress)
  }
  const begin = (): void => {
    bytes = 0
    begunMs = nowMs()
    saving = save()
      // Thrown to whoever writes next.
      .catch(() => undefined)
      .finally(() => {
        saving = undefined
      })
  }
  const due = (): boolean => isDue(bytes, nowMs() - begunMs)
  const last = async (): Promise<void> => {
    await saving
    if (failure !== undefined) throw failure
    await save()
  }
  return {
    wrote: async (frame, length) => {
      counter.ended(frame)
      bytes += length
      if (due() && saving !== undefined) await saving
      if (failure !== undefined) throw failure
      if (due() && saving === undefined) begin()
    },
    zeroed: (upTo) => {
      zeroedBytes = upTo
    },
    last,
    rescue: async () => {
      await saving
      if (counter.prefix > 0 && failure === undefined) await last().catch(() => undefined)
    },
  }
}
