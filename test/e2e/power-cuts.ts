/**
 * Power cuts at seeded moments of a run; after each the host must answer, and at last be replaced.
 *
 * 1. A firmware has two runs: of one the first OS can still start, the other begins armed.
 * 2. The disks forget what was not flushed: see power-loss.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { armedMachine } from './armed.ts'
import type { Host, HostOptions, System } from './host.ts'
import { applyDone, osflash, PROGRAM, startApply, status } from './operator.ts'
import { type Began, beginWith, bootFirstOs, LIMIT } from './takeover.ts'

/** Where in the run the power goes: `apply` at work, the host leaving, or a state of the rescue. */
type Moment = 'staging' | 'leaving' | 'state rehearsal' | 'state flashing' | 'state trial'
/** How long after that at most. */
interface Cut {
  readonly when: Moment
  readonly withinSeconds: number
}

export interface Run {
  readonly name: string
  readonly firmware: HostOptions['firmware']
  readonly isArmed: boolean
  readonly seed: number
  readonly cuts: readonly Cut[]
}

/** While the first OS can start, and from there to the confirmation. */
const EARLY: readonly Cut[] = [
  { when: 'staging', withinSeconds: 30 },
  { when: 'staging', withinSeconds: 90 },
  { when: 'leaving', withinSeconds: 25 },
]
const LATE: readonly Cut[] = [
  { when: 'state rehearsal', withinSeconds: 30 },
  { when: 'state flashing', withinSeconds: 30 },
  { when: 'state trial', withinSeconds: 60 },
]
/** Of the runner, for one run. */
export const SLOW = { timeout: 40 * 60_000 } as const

const SEEDS = { bios: 4_002, uefi: 4_003 } as const

/** Six cuts in two runs. */
export function powerCutRuns(firmware: HostOptions['firmware']): readonly Run[] {
  const seed = SEEDS[firmware]
  return [
    { name: `${firmware}-early`, firmware, isArmed: false, seed, cuts: EARLY },
    { name: `${firmware}-late`, firmware, isArmed: true, seed: seed + 100, cuts: LATE },
  ]
}

const ANSWERS_WITHIN = 420
const ENDS_WITHIN = 1_200
/** Without news from the serial log. */
const ASK_SECONDS = 20

/** Numbers from 0 to below 1 that are the same in every run (mulberry32). */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    yield ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The whole run: an assertion fails when something does not answer, or the end is another. */
export async function surviveCuts({ name, firmware, isArmed, seed, cuts }: Run): Promise<void> {
  const from = isArmed ? { from: await armedMachine({ firmware }) } : {}
  const options = { name: `power-cut-${name}`, firmware, recordWrites: true, ...from }
  await using began = await beginWith(options)
  const { host } = began
  await (isArmed ? host.powerOn() : bootFirstOs(began))
  const random = numbers(seed)
  let poweredOnAt = 0
  for (const { when, withinSeconds } of cuts) {
    const delay = random.next().value * withinSeconds
    await reach(began, when, poweredOnAt)
    await sleep(delay * 1000)
    const losses = await host.losePower(() => random.next().value)
    // The recorder was at work; how much was still unflushed depends on the moment.
    expect(losses.some(({ writes }) => writes > 0)).toBe(true)
    poweredOnAt = (await host.serialLog()).length
    await host.powerOn()
    const { system } = await host.waitFor(ANY, { seconds: ANSWERS_WITHIN })
    const said = await status(host).catch((error: unknown) => String(error).slice(0, 200))
    const state = typeof said === 'string' ? said : `${said.state} ${said.error ?? ''}`
    console.log(
      `${name}: cut ${delay.toFixed(1)} s into ${when}: ${system} answers ` +
        `at ${host.seconds.toFixed(0)} s: ${state} ${JSON.stringify(losses)}`,
    )
  }
  await finish(began)
  console.log(`${name}: confirmed at ${host.seconds.toFixed(0)} s`)
  expect((await host.ssh('. /etc/os-release; echo $VERSION_ID')).trim()).toBe('13')
  expect(await status(host)).toMatchObject({ state: 'confirmed', exitStatus: 0 })
}

const ANY: readonly System[] = ['first-os', 'rescue', 'target']

/** Leads the host to the moment, or beyond when it is there already. */
async function reach(began: Began, when: Moment, poweredOnAt: number): Promise<void> {
  const { host } = began
  const isBooting = host.seen.length === 0
  if (!isBooting) {
    const { system } = await host.waitFor(ANY, { seconds: ANSWERS_WITHIN })
    await goOn(began, system)
    if (when === 'staging') return
    if (system === 'first-os') await leave(host)
    // On a fast machine the run may be over: then it is cut where it is.
    if (when === 'leaving' || system === 'target') return
  }
  await host.waitForSerial(when, LIMIT.away + LIMIT.flash, poweredOnAt)
}

async function leave(host: Host): Promise<void> {
  if ((await applyDone(host, LIMIT.staging)) !== 'away') await host.waitForSilence(LIMIT.away)
}

/** What an operator does with what answers. */
async function goOn({ host, images }: Began, system: System): Promise<void> {
  if (system === 'first-os') {
    const { state } = await status(host)
    if (state === 'armed' || state === 'rehearsal') {
      const aborted = await osflash(host, 'abort')
      expect(aborted, aborted.stderr).toMatchObject({ status: 0 })
    }
    await startApply(host, images)
  }
  if (system === 'rescue' && (await isHeld(host))) {
    // One that is at work says so late: it has to be loaded first.
    const begin = `systemd-run --quiet --collect --unit=e2e-resume ${PROGRAM} resume`
    await host.ssh(`systemctl is-active --quiet e2e-resume || ${begin}`)
  }
}

/** Held, and at rest. */
async function isHeld(host: Host): Promise<boolean> {
  const { state } = await status(host)
  return state === 'held'
}

async function finish(began: Began): Promise<void> {
  const { host } = began
  const deadline = host.seconds + ENDS_WITHIN
  while (host.seconds < deadline) {
    const { system } = await host.waitFor(ANY, { seconds: ANSWERS_WITHIN })
    // What was said before is answered now.
    const from = (await host.serialLog()).length
    if (system === 'target') {
      const said = await status(host).catch(() => null)
      if (said?.state === 'confirmed') return
    }
    if (system === 'rescue' && (await isHeld(host).catch(() => false))) await goOn(began, system)
    if (system === 'first-os') {
      await goOn(began, system)
      await leave(host)
    }
    await host.waitForNews(ASK_SECONDS, from)
  }
  throw new Error(`not confirmed within ${ENDS_WITHIN} s: ${JSON.stringify(await status(host))}`)
}
