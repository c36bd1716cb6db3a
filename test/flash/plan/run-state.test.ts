/** Whether a replacement is under way: asked of the store that an earlier run left. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FIRST_OS, STORE } from '../../../src/flash/places.ts'
import { checkNoRun } from '../../../src/flash/plan/run-state.ts'
import { hostFixture, isRoot, scratchFolder } from '../host-fixture.ts'

test('nothing is under way on a host that was never touched', async () => {
  await expect(checkNoRun(await scratchFolder())).resolves.toBeUndefined()
})

test('what an earlier run remembers must be readable', async () => {
  const root = await scratchFolder()
  await mkdir(dirname(join(root, FIRST_OS.run)), { recursive: true })
  await writeFile(join(root, FIRST_OS.run), '{"storeUuid":')
  await expect(checkNoRun(root)).rejects.toMatchObject({ code: 'format' })
})

describe.skipIf(!isRoot)('with a store on a loop device (as root)', () => {
  test.each(['preflight', 'staging', 'staged', 'aborted'] as const)(
    "a run that is %s is in nobody's way",
    async (state) => {
      const { root } = await hostFixture({ system: 'first-os', state })
      await expect(checkNoRun(root)).resolves.toBeUndefined()
    },
  )

  test.each(['armed', 'rehearsal', 'committed', 'flashing', 'trial', 'held'] as const)(
    'a run that is %s is not begun again',
    async (state) => {
      const { root } = await hostFixture({ system: 'first-os', state })
      await expect(checkNoRun(root)).rejects.toMatchObject({
        code: 'refused',
        message: `checking this host: a replacement is under way, it is ${state}`,
      })
    },
  )

  test('a stage that is not there any more is no run', async () => {
    const { root } = await hostFixture({ system: 'first-os' })
    await expect(checkNoRun(root)).resolves.toBeUndefined()
  })

  test('a journal that cannot be read is no answer', async () => {
    const { root, inStore } = await hostFixture({ system: 'first-os', state: 'armed' })
    await inStore(async (path) => {
      for (const name of STORE.journal) await writeFile(join(path, name), 'x'.repeat(4_096))
    })
    await expect(checkNoRun(root)).rejects.toMatchObject({ code: 'format' })
  })

  test('the rescue replaces nothing, whatever the state', async () => {
    const { root } = await hostFixture({ system: 'rescue', state: 'held' })
    await expect(checkNoRun(root)).rejects.toMatchObject({
      code: 'refused',
      hints: ['osflash status'],
    })
  })
})
