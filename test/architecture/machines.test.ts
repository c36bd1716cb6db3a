/** As many machines at once as e2e is told, or each of them takes too long. */
import { afterEach, expect, test } from 'vitest'
import { createVitest } from 'vitest/node'

afterEach(() => {
  delete process.env.OSFLASH_MACHINES
})

async function machinesOf(project: string): Promise<number | undefined> {
  const made = await createVitest('test', { watch: false, project })
  try {
    return made.projects.find(({ name }) => name === project)?.config.maxConcurrency
  } finally {
    await made.close()
  }
}

test('OSFLASH_MACHINES limits the scenarios of a file; one is the default', async () => {
  expect(await machinesOf('e2e')).toBe(1)
  process.env.OSFLASH_MACHINES = '3'
  expect(await machinesOf('e2e')).toBe(3)
})
