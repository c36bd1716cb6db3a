/** The newest state is told once more, in the system that runs. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { abortRun } from '../../src/flash/abort.ts'
import { makeNotifier } from '../../src/flash/notify.ts'
import { notifyAgain } from '../../src/flash/notify-again.ts'
import { STORE } from '../../src/flash/places.ts'
import { run } from '../../src/system/run.ts'
import { hostFixture, isRoot, scratchFolder } from './host-fixture.ts'
import { accept, listen } from './listener.ts'

const quiet = () => undefined

test('without a replacement nobody is told', async () => {
  expect(await notifyAgain(quiet, await scratchFolder())).toBeUndefined()
})

describe.skipIf(!isRoot)('on a host with a stage (as root)', () => {
  test('the target tells that it is confirmed', async () => {
    const { address, bodies } = await listen(accept)
    const plan = { notify: address }
    const host = await hostFixture({ system: 'target', state: 'confirmed', plan })
    expect(await notifyAgain(quiet, host.root)).toBe('confirmed')
    expect(bodies.map((body) => JSON.parse(body))).toEqual([
      expect.objectContaining({ state: 'confirmed', host: 'web-1', planDigest: host.digest }),
    ])
  })

  test('the address is forgotten when the target told that it is confirmed', async () => {
    const { address, bodies } = await listen(accept)
    const notify = `${address}T0KEN?key=s3cret`
    const host = await hostFixture({ system: 'target', state: 'confirmed', plan: { notify } })
    const onDisk = async () => (await readFile(host.file)).toString('latin1')
    await run(['sync', '-f', host.file])
    expect(await onDisk()).toContain('T0KEN')
    await notifyAgain(quiet, host.root)
    await run(['sync', '-f', host.file])
    expect(await onDisk()).not.toContain('T0KEN')
    // Nobody is left to be told; the plan is read all the same.
    expect(await notifyAgain(quiet, host.root)).toBe('confirmed')
    expect(bodies).toHaveLength(1)
  })

  test.each(['held', 'trial'] as const)('it is kept while the target is %s', async (state) => {
    const { address, bodies } = await listen(accept)
    const host = await hostFixture({ system: 'target', state, plan: { notify: address } })
    await notifyAgain(quiet, host.root)
    await notifyAgain(quiet, host.root)
    expect(bodies).toHaveLength(2)
  })

  test('half an address is none', async () => {
    const { address, bodies } = await listen(accept)
    const host = await hostFixture({ system: 'rescue', state: 'held', plan: { notify: address } })
    await host.inStore((path) => writeFile(join(path, STORE.notify), '\0'.repeat(20)))
    expect(await notifyAgain(quiet, host.root)).toBe('held')
    expect(bodies).toEqual([])
  })

  test('nobody listens: noted, and no failure', async () => {
    const events: ProgressEvent[] = []
    const plan = { notify: 'http://127.0.0.1:1/' }
    const host = await hostFixture({ system: 'target', state: 'confirmed', plan })
    expect(await notifyAgain((event) => events.push(event), host.root)).toBe('confirmed')
    expect(events).toEqual([{ event: 'note', text: expect.stringMatching(/^notifying 127/) }])
  })

  test('abort tells it, when everything is undone', async () => {
    const { address, bodies } = await listen(accept)
    const plan = { notify: address }
    const host = await hostFixture({ system: 'first-os', state: 'staged', plan })
    const makeBoot = () => Promise.reject(new Error('nothing was armed'))
    const startsByStage = () => Promise.resolve(false)
    const notifier = (seen: typeof host.plan) => makeNotifier(seen, quiet)
    expect(await abortRun({ root: host.root, makeBoot, startsByStage, notifier })).toBe(true)
    expect(bodies.map((body) => JSON.parse(body).state)).toEqual(['aborted'])
  })

  test('a plan that cannot be read keeps nobody from aborting', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'staged' })
    await host.inStore((path) => writeFile(join(path, STORE.plan), '{'))
    const makeBoot = () => Promise.reject(new Error('nothing was armed'))
    const startsByStage = () => Promise.resolve(false)
    const notifier = () => () => Promise.reject(new Error('nobody to tell'))
    expect(await abortRun({ root: host.root, makeBoot, startsByStage, notifier })).toBe(true)
  })
})
