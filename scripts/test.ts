/**
 * `npm test`: every check that holds the sources, then the quick suites.
 *
 * 1. Each step runs to its end, one after another; a failure does not stop the next.
 * 2. A step that passes takes one line, a step that fails also shows what it printed.
 * 3. The status is 1 when a step failed.
 *
 * `node scripts/test.ts tsc biome` runs only the steps named.
 */

import { rmSync } from 'node:fs'
import { execa } from 'execa'
import { vitestArgv } from './suites.ts'

interface Step {
  readonly name: string
  readonly argv: readonly [program: string, ...args: string[]]
  /** Picks the one line that says what was done. */
  readonly summary: (output: string) => string
}

const none = (): string => ''
const steps: readonly Step[] = [
  { name: 'tsc', argv: ['tsc', '-p', '.'], summary: none },
  { name: 'biome', argv: ['biome', 'check', '.'], summary: (text) => lineWith(text, 'Checked') },
  { name: 'knip', argv: ['knip', '--no-progress'], summary: none },
  ...['architecture', 'unit', 'integration', 'cli-scripts'].map(vitestStep),
]

function vitestStep(name: string): Step {
  return {
    name,
    argv: vitestArgv(name),
    summary: (text) => /^ *Tests +(.*)$/m.exec(text)?.[1] ?? '',
  }
}

function lineWith(text: string, word: string): string {
  return (text.split('\n').find((line) => line.includes(word)) ?? '').trim()
}

async function runStep(step: Step): Promise<boolean> {
  const startMs = performance.now()
  const [program, ...args] = step.argv
  const { exitCode, all } = await execa(program, args, {
    all: true,
    reject: false,
    preferLocal: true,
    stdin: 'ignore',
    env: { NO_COLOR: '1' },
  })
  const passed = exitCode === 0
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  if (!passed) console.log(all)
  const verdict = passed ? 'ok' : 'FAILED'
  console.log(`${step.name.padEnd(12)} ${verdict}  ${seconds} s  ${step.summary(all)}`.trimEnd())
  return passed
}

const wanted = process.argv.slice(2)
rmSync('build/reports', { recursive: true, force: true })
let failed = 0
for (const step of steps) {
  if (wanted.length > 0 && !wanted.includes(step.name)) continue
  if (!(await runStep(step))) failed += 1
}
process.exitCode = failed === 0 ? 0 : 1
