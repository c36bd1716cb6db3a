/**
 * The rules that hold the architecture; each returns one line per breach, none when it holds.
 */

import { basename } from 'node:path'
import { Visitor } from 'oxc-parser'
import { resolveImport, type SourceFile } from './sources.ts'

export type Rule = (files: readonly SourceFile[]) => string[]

const ROOTS = ['errors', 'units', 'events']

/** Which layer may import which; the roots may be imported by all but each other. */
const IMPORT_TABLE: Readonly<Record<string, readonly string[]>> = {
  format: [],
  encrypt: ['format'],
  system: [],
  pack: ['format', 'encrypt', 'system'],
  deliver: ['format', 'system'],
  unpack: ['format', 'encrypt', 'system', 'deliver'],
  flash: ['format', 'encrypt', 'system', 'deliver', 'unpack'],
  cli: ['format', 'encrypt', 'system', 'pack', 'deliver', 'unpack', 'flash'],
}

/** `src/format/index.ts` is of layer `format`, `src/errors.ts` of the root `errors`. */
function layerOf(path: string): string {
  const [, name = ''] = path.split('/')
  return name.replace(/\.ts$/, '')
}

export const importTable: Rule = (files) =>
  inSrc(files).flatMap((file) => {
    const layer = layerOf(file.path)
    const root = ROOTS.includes(layer)
    const allowed = root ? [] : IMPORT_TABLE[layer]
    if (allowed === undefined) return [`${file.path}: ${layer} is not in the import table`]
    return file.imports.flatMap((name) => {
      const target = resolveImport(file, name)
      if (target === undefined) return []
      const wanted = layerOf(target)
      const fine = !root && (wanted === layer || ROOTS.includes(wanted))
      if (target.startsWith('src/') && (fine || allowed.includes(wanted))) return []
      return [`${file.path}: ${layer} may not import ${target}`]
    })
  })

export const noCycles: Rule = (files) => {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const state = new Map<string, 'open' | 'done'>()
  const visit = (path: string, trail: readonly string[]): string[] => {
    const file = byPath.get(path)
    if (file === undefined || state.get(path) === 'done') return []
    const here = [...trail, path]
    if (state.get(path) === 'open') return [here.slice(here.indexOf(path)).join(' -> ')]
    state.set(path, 'open')
    const found = file.imports.flatMap((name) => visit(resolveImport(file, name) ?? '', here))
    state.set(path, 'done')
    return found
  }
  return files.flatMap((file) => visit(file.path, []))
}

const FILE_LINES_MAX = 350
const FUNCTION_LINES_MAX = 60
const PARAMETERS_MAX = 3
const COLUMNS_MAX = 100

export const fileLength: Rule = (files) =>
  files
    .filter(({ lines }) => lines.length > FILE_LINES_MAX)
    .map(({ path, lines }) => `${path}: ${lines.length} lines, at most ${FILE_LINES_MAX}`)

export const lineWidth: Rule = (files) =>
  files.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) =>
      [...line].length > COLUMNS_MAX
        ? [`${path}:${index + 1}: ${[...line].length} columns, at most ${COLUMNS_MAX}`]
        : [],
    ),
  )

/** Tests are left out: their outermost function is a list of cases. */
export const functionLength: Rule = (files) =>
  files
    .filter(({ path }) => !path.startsWith('test/'))
    .flatMap((file) =>
      functionsOf(file)
        .map(({ start, end }) => ({ from: lineAt(file, start), to: lineAt(file, end) }))
        .filter(({ from, to }) => to - from + 1 > FUNCTION_LINES_MAX)
        .map(({ from, to }) => {
          const length = to - from + 1
          return `${file.path}:${from}: function of ${length} lines, at most ${FUNCTION_LINES_MAX}`
        }),
    )

export const parameterCount: Rule = (files) =>
  inSrc(files).flatMap((file) =>
    functionsOf(file)
      .filter(({ parameters }) => parameters > PARAMETERS_MAX)
      .map(({ start, parameters }) => {
        const line = lineAt(file, start)
        return `${file.path}:${line}: ${parameters} parameters, at most ${PARAMETERS_MAX}`
      }),
  )

const HEADER_LINES = { min: 4, max: 40 }

export const moduleHeader: Rule = (files) =>
  inSrc(files).flatMap((file) => {
    const end = file.lines.findIndex((line) => line.trim() === '*/')
    const length = file.lines[0] === '/**' ? end + 1 : 0
    if (length >= HEADER_LINES.min && length <= HEADER_LINES.max) return []
    const wanted = `${HEADER_LINES.min} to ${HEADER_LINES.max} lines`
    return [`${file.path}:1: header comment of ${length} lines, wanted ${wanted}`]
  })

const PROCESS_EDGES = ['exit', 'exitCode', 'env', 'argv', 'stdin', 'stdout', 'stderr', 'on', 'once']

/** Only `src/cli` prints, exits, or reads the environment or the arguments. */
export const edgesInCli: Rule = (files) =>
  inSrc(files)
    .filter(({ path }) => !path.startsWith('src/cli/'))
    .flatMap((file) => {
      const found = [...edgeUses(file)]
      const modules = file.imports.filter((name) => /^(node:)?(process|console)$/.test(name))
      const uses = found.map((use) => `${file.path}:${lineAt(file, use.start)}: ${use.name}`)
      return [...uses, ...modules.map((name) => `${file.path}: import of ${name}`)].map(
        (breach) => `${breach} outside src/cli`,
      )
    })

/** Modules that only the files named may import. */
const SINGLE_IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  listr2: ['src/cli/live.ts'],
  execa: ['src/system/run.ts'],
  'node:child_process': [],
  'node:cluster': [],
}

export const singleImporters: Rule = (files) =>
  inSrc(files).flatMap(({ path, imports }) =>
    imports
      .filter((name) => SINGLE_IMPORTERS[name] !== undefined)
      .filter((name) => SINGLE_IMPORTERS[name]?.includes(path) === false)
      .map((name) => `${path}: may not import ${name}`),
  )

const IMPURE = /^(node:)?(fs|fs\/promises|net|http|https|http2|tls|dgram|dns|os|worker_threads)$/

/** What both sides agree on does no I/O. */
export const pureFormat: Rule = (files) =>
  files
    .filter(({ path }) => path.startsWith('src/format/'))
    .flatMap(({ path, imports }) =>
      imports.filter((name) => IMPURE.test(name)).map((name) => `${path}: impure: ${name}`),
    )

const EMPTY_NAMES = /^(utils?|helpers?|common|misc|tmp|data2|shared|lib)$/

export const fileNames: Rule = (files) =>
  files
    .filter(({ path }) => EMPTY_NAMES.test(basename(path, '.ts')))
    .map(({ path }) => `${path}: the name says nothing`)

/** At least a line of test for a line of code. */
export const testLines: Rule = (files) => {
  const count = (prefix: string): number =>
    files
      .filter(({ path }) => path.startsWith(prefix))
      .reduce((sum, { lines }) => sum + lines.length, 0)
  const [source, test] = [count('src/'), count('test/')]
  return test >= source ? [] : [`${test} lines of test for ${source} lines of code`]
}

function inSrc(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(({ path }) => path.startsWith('src/'))
}

interface FunctionSpan {
  readonly start: number
  readonly end: number
  readonly parameters: number
}

function functionsOf(file: SourceFile): readonly FunctionSpan[] {
  const found: FunctionSpan[] = []
  const add = (node: { start: number; end: number; params: readonly unknown[] }): void => {
    found.push({ start: node.start, end: node.end, parameters: node.params.length })
  }
  new Visitor({
    FunctionDeclaration: add,
    FunctionExpression: add,
    ArrowFunctionExpression: add,
  }).visit(file.program)
  return found
}

function edgeUses(file: SourceFile): readonly { readonly name: string; readonly start: number }[] {
  const found: { name: string; start: number }[] = []
  new Visitor({
    MemberExpression(node) {
      const { object, property, start } = node
      if (object.type !== 'Identifier') return
      const member = property.type === 'Identifier' ? property.name : ''
      if (object.name === 'console') found.push({ name: 'console', start })
      if (object.name === 'process' && (node.computed || PROCESS_EDGES.includes(member))) {
        found.push({ name: `process.${member}`, start })
      }
    },
    VariableDeclarator({ init, start }) {
      if (init?.type === 'Identifier' && /^(process|console)$/.test(init.name)) {
        found.push({ name: init.name, start })
      }
    },
  }).visit(file.program)
  return found
}

/** The number of the line, from 1, that holds a place in the text. */
function lineAt(file: SourceFile, offset: number): number {
  return file.text.slice(0, offset).split('\n').length
}
