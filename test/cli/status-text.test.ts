import { expect, test } from 'vitest'
import { renderStatus } from '../../src/cli/status-text.ts'
import { NEXT, type State } from '../../src/flash/states.ts'
import { type RunStatus, summaryOf } from '../../src/flash/status.ts'
import { flashPlan } from '../flash/flash-plan.ts'

const status: RunStatus = {
  system: 'rescue',
  state: 'held',
  since: '2026-11-22T21:03:11.123Z',
  attempts: { flash: 1, trial: 1 },
  error: 'the target did not confirm within 600 s',
  failed: true,
  notes: ['one', 'two'],
  next: ['osflash resume tries again', 'osflash resume --target OTHER'],
  trialLog: ['2026-11-22T21:01:00Z sshd does not answer'],
  plan: summaryOf(flashPlan()),
}

test('everything that is known, a line each', () => {
  expect(renderStatus(status)).toMatchInlineSnapshot(`
    "held: the rescue waits for an operator
      host      web-1
      in        the rescue
      since     2026-11-22 21:03:11 UTC
      why       the target did not confirm within 600 s
      note      one
                two
      replaces  Debian GNU/Linux 12 (bookworm) on DISK-1 (8.00 GiB)
      by        debian-13
      stage     STAGE-1 (8.00 GiB)
      attempts  flashing 1, trial 1
      trial     2026-11-22T21:01:00Z sshd does not answer
      next      osflash resume tries again
                osflash resume --target OTHER
    "
  `)
})

test('nothing is said of what is not known', () => {
  const { system, next } = status
  expect(
    renderStatus({ system, next, notes: [], state: 'staging', trialLog: [] }),
  ).toMatchInlineSnapshot(`
    "staging: the stage disk is being filled
      in        the rescue
      next      osflash resume tries again
                osflash resume --target OTHER
    "
  `)
})

test('a host without a replacement', () => {
  const none = { system: 'first-os', state: 'none', next: [], notes: [], trialLog: [] } as const
  expect(renderStatus(none)).toBe('no replacement under way\n')
  expect(renderStatus({ ...none, notes: ['the stage is gone'] })).toBe(
    'no replacement under way\nthe stage is gone\n',
  )
})

test('the first word is the state, for scripts', () => {
  for (const state of Object.keys(NEXT) as State[]) {
    const [first] = renderStatus({ ...status, state }).split(':')
    expect(first).toBe(state)
  }
})
