/**
 * How vitest is called: one project, a report for people, and one that .ci/run sums up.
 */

import { execa } from 'execa'

/** The command line for `name`, a project of vitest.config.ts. */
export function vitestArgv(name: string): readonly [program: string, ...args: string[]] {
  const report = `--outputFile=build/reports/${name}.json`
  const reporters = ['--reporter=default', '--reporter=json', report]
  return ['vitest', 'run', '--project', name, ...reporters]
}

/** Runs one project with more options; returns the exit status. */
export async function runSuite(
  name: string,
  options: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  const [program, ...args] = vitestArgv(name)
  const { exitCode } = await execa(program, [...args, ...options], {
    env,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    preferLocal: true,
    reject: false,
  })
  return exitCode ?? 1
}
