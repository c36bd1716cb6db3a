/** A rescue that cannot read its store: back to the first OS, or where somebody can log in. */
import { expect, it } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import { type LostRescue, whenLost } from '../../../src/flash/rescue/lost.ts'

const ERROR = new OsflashError('refused', 'finding the store: no device has it')
const BY_FIRST_OS = 'ro quiet osflash.first=(hd0,gpt2)/boot/grub osflash.stage=hd1,gpt3\n'
const BY_GUARD = 'ro quiet osflash.stage=hd1,gpt3\n'

function lost(changes: Partial<LostRescue> = {}) {
  const seen: string[] = []
  const end = whenLost(ERROR, {
    atBoot: true,
    hasDecided: false,
    commandLine: BY_GUARD,
    lookMs: 0,
    isReachable: async () => {
      seen.push('asked')
      return true
    },
    alive: async () => void seen.push('alive'),
    emit: (event) => void seen.push(event.event === 'note' ? event.text : event.event),
    ...changes,
  })
  return { end, seen }
}

const REBOOTS = `rebooting, nothing can be done here: ${String(ERROR)}`

it('goes back at once where the first OS started it, whoever could log in', async () => {
  const { end, seen } = lost({ commandLine: BY_FIRST_OS })
  expect(await end).toBe('rebooting')
  expect(seen).toEqual([REBOOTS])
})

it('stays behind the guard where somebody can log in, and is not taken for dead', async () => {
  const { end, seen } = lost()
  await expect(end).rejects.toBe(ERROR)
  expect(seen).toEqual(['asked', 'alive'])
})

it('does not go back to a first OS that it has given up in this boot', async () => {
  const { end, seen } = lost({ commandLine: BY_FIRST_OS, hasDecided: true })
  await expect(end).rejects.toBe(ERROR)
  expect(seen).toEqual(['asked', 'alive'])
})

it('tries again behind the guard where nobody can', async () => {
  const { end, seen } = lost({ isReachable: async () => false })
  expect(await end).toBe('rebooting')
  expect(seen).toEqual([REBOOTS])
})

it('takes no other word for that of the first OS', async () => {
  const { end, seen } = lost({ commandLine: 'ro my-osflash.first=1 osflash.firstly=2\n' })
  await expect(end).rejects.toBe(ERROR)
  expect(seen).toEqual(['asked', 'alive'])
})

it.each([
  ['an operator started it', { atBoot: false }],
  ['it was stopped', { signal: AbortSignal.abort() }],
] as const)('never reboots by itself when %s', async (_, changes) => {
  const { end, seen } = lost({ commandLine: BY_FIRST_OS, ...changes })
  await expect(end).rejects.toBe(ERROR)
  expect(seen).toEqual([])
})
