import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Host, System } from './host.ts'
import { applyDone, osflash, PROGRAM, startApply, status } from './operator.ts'
import { type Began, beginWith, bootFirstOs, LIMIT } from './takeover.ts'

/** Where in the run the power goes, and how long after that at most. */
type Moment = 'staging' | 'leaving' | 'rescue' | 'leaving rescue'
const MOMENTS: readonly { readonly when: Moment; readonly withinSeconds: number }[] = [
  { when: 'staging', withinSeconds: 30 },
  { when: 'staging', withinSeconds: 90 },
  { when: 'leaving', withinSeconds: 25 },
  { when: 'rescue', withinSeconds: 20 },
  { when: 'rescue', withinSeconds: 45 },
  { when: 'leaving rescue', withinSeconds: 40 },
]
const SEED = { bios: 4_002, uefi: 4_003 } as const
const ANSWERS_WITHIN = 420
const ENDS_WITHIN = 900

/** Numbers from 0 to below 1 that are the same in every run (mulberry32). */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    yield ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

test.concurrent.for(['bios', 'uefi'] as const)(
  'power cuts under %s: something answers each time, and the run ends well',
  { timeout: 40 * 60_000 },
  async (firmware) => {
    await using began = await beginWith({
      name: `power-cut-${firmware}`,
      firmware,
      recordWrites: true,
    })
    await bootFirstOs(began)
    const { host } = began
    const random = numbers(SEED[firmware])
    for (const { when, withinSeconds } of MOMENTS) {
      const delay = random.next().value * withinSeconds
      await reach(began, when)
      await sleep(delay * 1000)
      const losses = await host.losePower(() => random.next().value)
      await host.powerOn()
      const { system } = await host.waitFor(ANY, { seconds: ANSWERS_WITHIN })
      const said = await status(host).catch((error: unknown) => String(error).slice(0, 200))
      const state = typeof said === 'string' ? said : `${said.state} ${said.error ?? ''}`
      console.log(
        `${firmware}: cut ${delay.toFixed(1)} s into ${when}: ${system} answers ` +
          `at ${host.seconds.toFixed(0)} s: ${state} ${JSON.stringify(losses)}`,
      )
    }
    await finish(began)
    expect((await host.ssh('. /etc/os-release; echo $VERSION_ID')).trim()).toBe('13')
    expect(await status(host)).toMatchObject({ state: 'confirmed', exitStatus: 0 })
  },
)

const ANY: readonly System[] = ['first-os', 'rescue', 'target']

/** Leads the host to the moment, or beyond when it is there already. */
async function reach(began: Began, when: Moment): Promise<void> {
  const { host } = began
  const { system } = await host.waitFor(ANY, { seconds: ANSWERS_WITHIN })
  if (system === 'first-os') {
    await goOn(began, system)
    if (when === 'staging') return
    if ((await applyDone(host, LIMIT.staging)) !== 'away') await host.waitForSilence(LIMIT.away)
    if (when === 'leaving') return
    await host.waitFor(ANY, { seconds: ANSWERS_WITHIN })
  } else {
    await goOn(began, system)
  }
  if (when === 'leaving rescue') await host.waitForSilence(LIMIT.flash)
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
    await host.ssh(`systemd-run --quiet --collect --unit=e2e-resume ${PROGRAM} resume`)
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
    if (system === 'target') {
      const said = await status(host).catch(() => null)
      if (said?.state === 'confirmed') return
    }
    if (system === 'rescue' && (await isHeld(host).catch(() => false))) await goOn(began, system)
    if (system === 'first-os') {
      await goOn(began, system)
      if ((await applyDone(host, LIMIT.staging)) !== 'away') await host.waitForSilence(LIMIT.away)
    }
    await sleep(3000)
  }
  throw new Error(`not confirmed within ${ENDS_WITHIN} s: ${JSON.stringify(await status(host))}`)
}
