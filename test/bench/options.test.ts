import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { HELP, readOptions } from '../../bench/options.ts'

test('without options: five rounds of everything, one worker for each processor', () => {
  expect(readOptions([], '/somewhere')).toEqual({
    rounds: 5,
    workers: availableParallelism(),
    large: false,
    folder: '/somewhere',
    only: [],
    help: false,
  })
})

test('--only may be repeated, and takes several names', () => {
  expect(readOptions(['--only', 'write', '--only', 'tree'], '.').only).toEqual(['write', 'tree'])
  expect(readOptions(['--only', 'write', 'tree'], '.').only).toEqual(['write', 'tree'])
})

test('numbers, flags and the folder', () => {
  const args = ['--rounds', '2', '--workers', '8', '--large', '--folder', 'x', '--help']
  expect(readOptions(args, '.')).toMatchObject({
    rounds: 2,
    workers: 8,
    large: true,
    folder: resolve('x'),
    help: true,
  })
})

test.each([
  [['--rounds', '0'], 'reading --rounds: 0 is no number from 1 to 999'],
  [['--rounds', '1.5'], 'reading --rounds: 1.5 is no number from 1 to 999'],
  [['--workers', 'all'], 'reading --workers: all is no number from 1 to 999'],
  [['stray'], "reading the command line: unexpected argument 'stray'"],
])('%j is refused', (args, message) => {
  expect(() => readOptions(args, '.')).toThrow(expect.objectContaining({ code: 'usage', message }))
})

test('an unknown option is refused with a way to the help', () => {
  expect(() => readOptions(['--speed'], '.')).toThrow(
    expect.objectContaining({ code: 'usage', hints: ['npm run bench -- --help'] }),
  )
})

test('the help names every option', () => {
  for (const option of ['rounds', 'workers', 'only', 'large', 'folder', 'help']) {
    expect(HELP).toContain(`--${option}`)
  }
})
