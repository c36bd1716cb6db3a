/**
 * `npm run build`: the compiled program, in a few files, because each file costs its opening.
 *
 * 1. The program and each worker are bundled by themselves: a thread loads one file of ours.
 *    Verbs stay apart, as src/cli loads them when they are run.
 * 2. All files lie in dist/cli, since a worker is looked for beside the module that starts it.
 * 3. Packages with native parts stay packages; so does OpenPGP.js, whose licence wants that it
 *    can be replaced. The licences of all others go to dist/THIRD-PARTY-LICENSES.txt.
 *
 * `node scripts/build.ts FOLDER` writes to another folder than dist.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { rolldown } from 'rolldown'

const root = join(import.meta.dirname, '..')
const ENTRIES = [
  'src/cli/main.ts',
  'src/unpack/decode-worker.ts',
  'src/pack/image/pack-worker.ts',
] as const
const EXTERNAL = [/^@napi-rs\//, /^zstd-napi(\/|$)/, /^openpgp$/]

/** Bundles one entry; gives the files of node_modules that went into it. */
async function bundle(entry: string, folder: string): Promise<readonly string[]> {
  await using build = await rolldown({
    cwd: root,
    input: { [basename(entry, '.ts')]: entry },
    platform: 'node',
    external: EXTERNAL,
    onLog: (_, log) => {
      throw new Error(`bundling ${entry}: ${log.message}`)
    },
  })
  const { output } = await build.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    comments: { legal: true, annotation: false, jsdoc: false },
    minify: 'dce-only',
  })
  const chunks = output.filter((file) => file.type === 'chunk')
  return chunks.flatMap((chunk) => chunk.moduleIds.filter((id) => id.includes('/node_modules/')))
}

/** `/x/node_modules/@a/b/c.js` is of the package in `/x/node_modules/@a/b`. */
function packageOf(file: string): string {
  const at = file.lastIndexOf('/node_modules/') + '/node_modules/'.length
  const [scope = '', name = ''] = file.slice(at).split('/')
  return file.slice(0, at) + (scope.startsWith('@') ? join(scope, name) : scope)
}

interface PackageFacts {
  readonly name: string
  readonly version: string
  readonly license: string
}

/** What the licences of bundled packages want to be kept with every copy. */
function licenseText(folder: string): string {
  const { name, version, license }: PackageFacts = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  )
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file))
  if (files.length === 0) throw new Error(`bundling ${name}: it has no licence file`)
  const texts = files.sort().map((file) => readFileSync(join(folder, file), 'utf8').trim())
  return [`${name} ${version} (${license})`, ...texts].join('\n\n')
}

const folder = resolve(root, process.argv[2] ?? 'dist')
if (existsSync(folder) && !existsSync(join(folder, 'cli')) && readdirSync(folder).length > 0) {
  throw new Error(`building to ${folder}: it holds something else`)
}
await rm(folder, { recursive: true, force: true })
const bundled: string[] = []
for (const entry of ENTRIES) bundled.push(...(await bundle(entry, join(folder, 'cli'))))
const licenses = [...new Set(bundled.map(packageOf))].sort().map(licenseText)
const head = 'osflash holds parts of these packages.'
await mkdir(dirname(folder), { recursive: true })
await writeFile(
  join(folder, 'THIRD-PARTY-LICENSES.txt'),
  `${[head, ...licenses].join(`\n\n${'-'.repeat(72)}\n\n`)}\n`,
)
