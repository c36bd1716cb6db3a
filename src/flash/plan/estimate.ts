/**
 * How long it will take: the same for the same images and disks, so that plans can be compared.
 *
 * 1. Bytes divided by a rate. The rates are those of a slow but sound host, so an operator who
 *    waits as long as the plan says has a reason to look.
 * 2. Fixed times for what does not depend on sizes: reboots, checks.
 * 3. What the operator decides (GO, confirmation by hand) is not in it.
 *
 * Pure. Nothing is measured.
 */
import { MIB } from '../../units.ts'
import type { FlashPlan } from './plan.ts'

/** Bytes a second. */
const RATES = {
  /** 100 Mbit/s. */
  network: 12 * MIB,
  /** From a file, with its digests. */
  file: 200 * MIB,
  /** Decrypting, unpacking and writing, two cores. */
  write: 100 * MIB,
  readBack: 200 * MIB,
  zero: 500 * MIB,
} as const

/** Seconds. */
const TIMES = {
  /** From reboot until the next system answers, firmware included. */
  reboot: 60,
  rehearsal: 20,
  guard: 2,
  wipe: 5,
  store: 10,
  /** Carry, trial agent and boot structures. */
  furnish: 15,
  /** The agent's checks. */
  confirm: 20,
} as const

export interface EstimateInput {
  readonly rescue: EstimateImage
  readonly target: EstimateImage
}

export interface EstimateImage {
  /** Size of the packed image. */
  readonly packedBytes: number
  readonly dataBytes: number
  readonly zeroBytes: number
  readonly isRemote: boolean
}

type Estimate = Pick<FlashPlan, 'steps' | 'awaySeconds'>

/** All steps in their order; the host is away from the first reboot on. */
export function estimate({ rescue, target }: EstimateInput): Estimate {
  const before = [
    step('unpack the rescue to the stage', fetchTime(rescue) + writeTime(rescue)),
    step('copy the target to the store', fetchTime(target) + target.packedBytes / RATES.write),
    step('verify the stored target', target.packedBytes / RATES.readBack),
    step('make the store, prepare the rescue', TIMES.store),
  ]
  const away = [
    step('reboot into the rescue', TIMES.reboot),
    step('rehearsal: network, and the stored target once more', rehearsalTime(target)),
    step('guard: from here on every boot ends in the rescue', TIMES.guard),
    step('wipe the disk', TIMES.wipe),
    step('unpack the target to the disk', writeTime(target)),
    step('put the carry and the boot structures in place', TIMES.furnish),
    step('reboot into the target, on trial', TIMES.reboot),
    step('the target proves itself', TIMES.confirm),
  ]
  return {
    steps: [...before, ...away],
    awaySeconds: away.reduce((sum, { seconds }) => sum + seconds, 0),
  }
}

const step = (what: string, seconds: number) => ({ what, seconds: Math.ceil(seconds) })

const fetchTime = ({ packedBytes, isRemote }: EstimateImage): number =>
  packedBytes / (isRemote ? RATES.network : RATES.file)

/** Unpacked without being written. */
const rehearsalTime = ({ dataBytes }: EstimateImage): number =>
  TIMES.rehearsal + dataBytes / RATES.write

const writeTime = ({ dataBytes, zeroBytes }: EstimateImage): number =>
  dataBytes / RATES.write + dataBytes / RATES.readBack + zeroBytes / RATES.zero
