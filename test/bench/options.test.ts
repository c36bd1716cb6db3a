import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { HELP, readOptions } from '../../bench/options.ts'

const all = availableParallelism()

test('without options: five rounds of everything, on two processors and on all', () => {
  expect(readOptions([], '/somewhere')).toEqual({
    rounds: 5,
    cores: all > 2 ? [2, all] : [all],
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
  const args = ['--rounds', '2', '--cores', '1', '--large', '--folder', 'x', '--help']
  const program = ['--program', 'node main.js', '--results', 'there']
  expect(readOptions([...args, ...program], '.')).toMatchObject({
    rounds: 2,
    cores: [1],
    program: 'node main.js',
    results: resolve('there'),
    large: true,
    folder: resolve('x'),
    help: true,
  })
})

test.each([
  [['--rounds', '0'], 'reading --rounds: 0 is no number from 1 to 999'],
  [['--rounds', '1.5'], 'reading --rounds: 1.5 is no number from 1 to 999'],
  [['--cores', 'all'], 'reading --cores: all is no number from 1 to 999'],
  [['stray'], "reading the command line: unexpected argument 'stray'"],
])('%j is refused', (args, message) => {
  expect(() => readOptions(args, '.')).toThrow(expect.objectContaining({ code: 'usage', message }))
})

test('numbers of processors are sorted, each once', () => {
  expect(readOptions(['--cores', `${all},1,${all}`], '.').cores).toEqual(all > 1 ? [1, all] : [1])
})

test('more processors than there are are refused', () => {
  expect(() => readOptions(['--cores', '999'], '.')).toThrow(
    expect.objectContaining({
      code: 'usage',
      message: `reading --cores: 999 processors, but there are ${all}`,
    }),
  )
})

test('an unknown option is refused with a way to the help', () => {
  expect(() => readOptions(['--speed'], '.')).toThrow(
    expect.objectContaining({ code: 'usage', hints: ['npm run bench -- --help'] }),
  )
})

test('the help names every option', () => {
  for (const option of [
    'rounds',
    'cores',
    'program',
    'results',
    'only',
    'large',
    'folder',
    'help',
  ]) {
    expect(HELP).toContain(`--${option}`)
  }
})
