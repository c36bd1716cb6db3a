/** Signals in a process of its own: this one must survive. */

import { once } from 'node:events'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, onTestFinished, test } from 'vitest'

const module = join(import.meta.dirname, '../../src/cli/signals.ts')

/** Says `ready`, then what its signal does; `more` runs when it fires. */
async function startListener(more: string) {
  const program = `
    import { stopSignal } from ${JSON.stringify(module)}
    const alive = setInterval(() => undefined, 1000)
    stopSignal().addEventListener('abort', () => { console.log('aborted'); ${more} })
    console.log('ready')`
  const child = execa(process.execPath, ['--input-type=module', '-e', program], { reject: false })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  // In an object, because a child is a promise of its end.
  return { child }
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s aborts and does not end', async (name) => {
  const { child } = await startListener('clearInterval(alive); process.exitCode = 9')
  child.kill(name)
  expect(await child).toMatchObject({ exitCode: 9, stdout: 'ready\naborted' })
})

test('a second signal at once changes nothing', async () => {
  const { child } = await startListener(
    'process.kill(process.pid, "SIGINT"); setTimeout(() => process.exit(9), 300)',
  )
  child.kill('SIGINT')
  expect(await child).toMatchObject({ exitCode: 9, stdout: 'ready\naborted' })
})

test('a later signal ends a program that does not unwind', async () => {
  const { child } = await startListener(
    'setTimeout(() => process.kill(process.pid, "SIGINT"), 2100)',
  )
  child.kill('SIGINT')
  expect(await child).toMatchObject({ exitCode: 130, stdout: 'ready\naborted' })
})
