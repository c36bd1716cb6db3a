import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import {
  describeMachine,
  findPrograms,
  machineSlug,
  machineText,
  versionsOf,
} from '../../bench/machine.ts'

const machine = { cpu: 'Example(R) CPU @ 2.70GHz', cores: 4, memoryGib: 16, kernel: '6.12.9' }

test('a machine is named by what explains its figures', () => {
  expect(machineText(machine)).toBe(
    'Example(R) CPU @ 2.70GHz, 4 cores, 16 GiB of memory, Linux 6.12.9',
  )
  expect(machineSlug(machine)).toBe('example-cpu-2-70ghz-4c-16g')
})

test('this machine is described without its name', () => {
  const here = describeMachine()
  expect(here.cores).toBeGreaterThan(0)
  expect(here.kernel).toMatch(/^\d+\.\d+/)
  expect(Object.values(here)).not.toContain(hostname())
})

test('programs are looked up on the PATH', async () => {
  const found = await findPrograms(['bash', 'no-such-program-anywhere', 'bash'])
  expect([...found]).toEqual(['bash'])
})

test('versions are first lines', async () => {
  const versions = await versionsOf(['bash'])
  expect(versions).toEqual({ bash: expect.stringMatching(/^GNU bash, version [^\n]+$/) })
})
