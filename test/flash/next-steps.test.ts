import { expect, test } from 'vitest'
import { nextSteps } from '../../src/flash/next-steps.ts'
import { NEXT, type State, type SystemName } from '../../src/flash/states.ts'
import { flashPlan } from './flash-plan.ts'

const STATES = Object.keys(NEXT) as State[]
const SYSTEMS: readonly SystemName[] = ['first-os', 'rescue', 'target']

test('there is always something to do, and it fits a line', () => {
  for (const state of STATES) {
    for (const system of SYSTEMS) {
      const steps = nextSteps({ state, system, plan: flashPlan() })
      expect(steps.length, `${state} in ${system}`).toBeGreaterThan(0)
      for (const step of steps) expect(step.length).toBeLessThanOrEqual(100)
    }
  }
})

test('the first OS offers to undo exactly what can be undone', () => {
  const offers = STATES.filter((state) =>
    nextSteps({ state, system: 'first-os' }).some((step) => step.startsWith('osflash abort')),
  )
  const undoable = ['preflight', 'staging', 'staged', 'armed', 'rehearsal', 'aborted']
  expect(offers).toEqual(undoable)
})

test('the first OS is not sent on behind the guard', () => {
  expect(nextSteps({ state: 'flashing', system: 'first-os' })).toEqual([
    'boot from the stage disk: its rescue goes on',
  ])
})

test('a first OS that was started by hand is told to undo only where abort would', () => {
  const situation = { state: 'held', system: 'first-os', canGoBack: true } as const
  expect(nextSteps(situation)[0]).toBe('osflash abort undoes what was prepared')
  expect(nextSteps({ ...situation, isGuarded: true })).toEqual([
    'boot from the stage disk: its rescue goes on',
    'where it holds, osflash abort there goes back to this system',
  ])
})

test('a spent one-shot is undone first: apply refuses before, a reboot does nothing', () => {
  const situation = { state: 'armed', system: 'first-os' } as const
  expect(nextSteps(situation)[0]).toBe('reboot starts the rescue')
  expect(nextSteps({ ...situation, isLost: true })).toEqual([
    'osflash abort undoes what was prepared',
    'then osflash apply tries again, with the same options',
  ])
})

test('an operator is asked only where the plan says so', () => {
  const ssh = { how: 'ssh', withinSeconds: 60 } as const
  const trial = { state: 'trial', system: 'target' } as const
  expect(nextSteps({ ...trial, plan: flashPlan({ confirm: ssh }) })[0]).toMatch(/^osflash confirm /)
  expect(nextSteps({ ...trial, plan: flashPlan() })[0]).toContain('confirms itself')
  const rehearsal = { state: 'rehearsal', system: 'rescue' } as const
  expect(nextSteps({ ...rehearsal, plan: flashPlan({ go: ssh }) })[0]).toMatch(/^osflash go /)
  expect(nextSteps({ ...rehearsal, plan: flashPlan() })[0]).not.toContain('osflash go ')
})

test('the rescue offers the way back only while there is one', () => {
  for (const state of ['committed', 'held'] as const) {
    const situation = { state, system: 'rescue' } as const
    const offers = (steps: readonly string[]) =>
      steps.some((step) => step.startsWith('osflash abort'))
    expect(offers(nextSteps(situation))).toBe(false)
    expect(offers(nextSteps({ ...situation, canGoBack: true }))).toBe(true)
  }
})

test('a rescue that lacks its store or its journal says what is left to do', () => {
  const held = { state: 'held', system: 'rescue' } as const
  expect(nextSteps({ ...held, lacks: 'store' })).toMatchInlineSnapshot(`
    [
      "the disk may hold a whole system, so look before it is written: lsblk -f, mount -r",
      "dmesg and blkid say what became of the stage disk; once it is mended: osflash resume",
      "unless the guard stands, a reboot starts the first OS; there: osflash abort",
      "else osflash unpack IMAGE --to DISK --trust CERT --identity KEY writes a system by hand",
    ]
  `)
  expect(nextSteps({ ...held, lacks: 'journal' })).toMatchInlineSnapshot(`
    [
      "osflash resume --target IMAGE --trust CERT --identity KEY begins anew, behind the guard",
      "unless the guard stands, a reboot starts the first OS; there: osflash abort",
    ]
  `)
  const steps = nextSteps({ ...held, lacks: 'journal', canGoBack: true })
  expect(steps[0]).toMatch(/^osflash abort goes back/)
  for (const step of [...steps, ...nextSteps({ ...held, lacks: 'store' })]) {
    expect(step.length).toBeLessThanOrEqual(100)
  }
})

test('without a journal the first OS is undone, and a target confirms itself', () => {
  const held = { state: 'held', lacks: 'journal' } as const
  expect(nextSteps({ ...held, system: 'first-os' })).toEqual([
    'osflash abort undoes what was prepared',
    'then osflash apply tries again, with the same options',
  ])
  expect(nextSteps({ ...held, system: 'first-os', isGuarded: true })).toEqual([
    'boot from the stage disk: its rescue holds',
    'where it holds, osflash abort there goes back to this system',
  ])
  const after = 'osflash cleanup makes the stage disk blank, osflash apply may take it again'
  expect(nextSteps({ ...held, system: 'target' })).toEqual([
    'osflash-confirm keeps this system, or says that it is confirmed already',
    `once it is confirmed: ${after}`,
  ])
  const plan = flashPlan({ confirm: { how: 'none', withinSeconds: 600 } })
  expect(nextSteps({ ...held, system: 'target', plan })).toEqual([after])
})
