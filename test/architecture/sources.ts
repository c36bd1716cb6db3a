/**
 * The sources as the rules see them: text, lines and syntax tree of every TypeScript file.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { type Program, parseSync } from 'oxc-parser'

export interface SourceFile {
  /** Relative to the root of the repository, with `/`. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
  readonly program: Program
  /** Module names as written, of imports and re-exports, static and dynamic, types included. */
  readonly imports: readonly string[]
}

const FOLDERS = ['src', 'test', 'bench', 'scripts']
const GENERATED = ['test/vectors/', 'test/fixtures/']

/** Reads every `.ts` file of the folders that hold code. */
export function readSources(root: string): readonly SourceFile[] {
  return FOLDERS.flatMap((folder) => listFiles(join(root, folder), '.ts'))
    .map((path) => relative(root, path))
    .filter((path) => !GENERATED.some((prefix) => path.startsWith(prefix)))
    .map((path) => readSource(root, path))
}

/** All files below a folder whose names end so; none when there is no such folder. */
function listFiles(folder: string, ending: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
  } catch {
    return []
  }
}

function readSource(root: string, path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8')
  const { program, module, errors } = parseSync(path, text)
  if (errors[0] !== undefined) throw new Error(`${path}: ${errors[0].message}`)
  const exported = module.staticExports.flatMap((statement) =>
    statement.entries.flatMap((entry) => entry.moduleRequest?.value ?? []),
  )
  const dynamic = module.dynamicImports.map(({ moduleRequest }) =>
    text.slice(moduleRequest.start, moduleRequest.end).replace(/^['"`]|['"`]$/g, ''),
  )
  const imports = module.staticImports.map((statement) => statement.moduleRequest.value)
  const lines = text.replace(/\n$/, '').split('\n')
  return { path, text, lines, program, imports: [...imports, ...exported, ...dynamic] }
}

/** The file that a relative import means, relative to the root. */
export function resolveImport(file: SourceFile, name: string): string | undefined {
  return name.startsWith('.') ? posix.join(dirname(file.path), name) : undefined
}
