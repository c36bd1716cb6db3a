/** A program on a real terminal of its own, which script(1) makes. */

import { execa } from 'execa'
import { expect, onTestFinished } from 'vitest'
import { run } from '../../src/system/run.ts'

export const hasScript = await run(['sh', '-c', 'command -v script'], {
  statuses: [0, 1, 127],
}).then(({ status }) => status === 0)

export interface OnTerminal {
  /** A module that tells its outcome as JSON between `<` and `>`. */
  readonly program: string
  /** What stands on the terminal before keys are typed; its group, if any, is the process id. */
  readonly asks: RegExp
  /** Of the streams, in words of a shell. */
  readonly redirect?: string
}

/** Starts the program; `type` sends keys. */
export async function onTerminal({ program, asks, redirect = '' }: OnTerminal) {
  const node = `"$NODE" --input-type=module -e "$PROGRAM" ${redirect}`
  const child = execa('script', ['-qec', node, '/dev/null'], {
    reject: false,
    env: { NODE: process.execPath, PROGRAM: program, SHELL: '/bin/sh' },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let shown = ''
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
  })
  await expect.poll(() => shown, { timeout: 20_000 }).toMatch(asks)
  return {
    pid: Number(asks.exec(shown)?.[1]),
    type: (keys: string) => void child.stdin.write(keys),
    /** Waits until the program has told its outcome, and is gone. */
    ended: async () => {
      await expect.poll(() => shown, { timeout: 20_000 }).toContain('>')
      await child
      return { shown, outcome: JSON.parse(/<(.*)>/.exec(shown)?.[1] ?? 'null') }
    },
  }
}
