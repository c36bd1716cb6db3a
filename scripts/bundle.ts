/**
 * `npm run bundle`: osflash with everything that it needs to run on any x86-64 Linux with a
 * kernel of 4.18 or newer, whatever its C library: `build/osflash-VERSION-linux-x64.tar.zst`.
 *
 * 1. One folder: the launcher, the compiled program, the packages that stay packages, Node,
 *    and the loader and libraries of this machine that Node and the native parts need.
 * 2. Symbols that only a debugger reads are stripped, if `strip` is installed.
 * 3. Order, times and owners are always the same, so the same input gives the same bytes; an
 *    archive whose content did not change is not compressed again.
 * 4. The same file, as hard links, under the names that recipes and tests use: one beside the
 *    recipes, because a recipe names only what lies in its own folder.
 *
 * NSS needs nothing more: since glibc 2.34 `files` and `dns` are parts of the C library.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { cp, link, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from '../src/system/run.ts'
import { makeScratch } from '../src/system/scratch.ts'

const root = join(import.meta.dirname, '..')
const modules = join(root, 'node_modules')
const build = join(root, 'build')
const STABLE_NAME = 'osflash-linux-x64.tar.zst'
/** Any time does; one that never changes keeps the bytes the same from commit to commit. */
const TIME_SECONDS = 1_700_000_000
const LOADER = 'ld-linux-x86-64.so.2'

/** Files of node_modules that the compiled program loads, and what their licences want kept. */
const PACKAGE_FILES = [
  'openpgp/package.json',
  'openpgp/LICENSE',
  'openpgp/dist/node/openpgp.mjs',
  'zstd-napi/package.json',
  'zstd-napi/LICENSE',
  'zstd-napi/NOTICE',
  'zstd-napi/deps/zstd/LICENSE',
  'zstd-napi/binding.js',
  'zstd-napi/build/Release/binding.node',
  '@napi-rs/blake-hash/package.json',
  '@napi-rs/blake-hash/LICENSE',
  '@napi-rs/blake-hash/index.js',
  '@napi-rs/blake-hash-linux-x64-gnu/package.json',
  '@napi-rs/blake-hash-linux-x64-gnu/blake.linux-x64-gnu.node',
  '@napi-rs/lzma/package.json',
  '@napi-rs/lzma/index.js',
  '@napi-rs/lzma/main.js',
  '@napi-rs/lzma/xz.js',
  '@napi-rs/lzma/lzma.js',
  '@napi-rs/lzma/lzma2.js',
  '@napi-rs/lzma/stream-polyfill.js',
  '@napi-rs/lzma/stream-polyfill.mjs',
  '@napi-rs/lzma-linux-x64-gnu/package.json',
  '@napi-rs/lzma-linux-x64-gnu/lzma.linux-x64-gnu.node',
] as const
const NATIVE_PACKAGES = ['@napi-rs/blake-hash-linux-x64', '@napi-rs/lzma-linux-x64'] as const
/** Debian packages whose files are in lib/. */
const LIBRARY_PACKAGES = ['libc6', 'libstdc++6', 'libgcc-s1'] as const

async function copyTo(folder: string, files: readonly (readonly [from: string, to: string])[]) {
  for (const [from, to] of files) {
    const target = join(folder, to)
    await mkdir(dirname(target), { recursive: true })
    await cp(from, target, { dereference: true })
  }
}

async function copyProgram(folder: string): Promise<void> {
  await run([process.execPath, 'scripts/build.ts', join(folder, 'dist')], { cwd: root })
  await copyTo(folder, [
    [join(root, 'scripts/bundle/osflash'), 'bin/osflash'],
    [join(root, 'package.json'), 'package.json'],
    [join(root, 'LICENSE'), 'LICENSE'],
    [join(modules, 'node/bin/node'), 'lib/node'],
    ...PACKAGE_FILES.map((file) => [join(modules, file), join('node_modules', file)] as const),
  ])
  for (const name of NATIVE_PACKAGES) {
    // On a host with another C library the package's loader looks for the build for that one.
    const gnu = `${name}-gnu`
    await symlink(basename(gnu), join(folder, 'node_modules', `${name}-musl`))
  }
}

const nativeFiles = (folder: string): readonly string[] => [
  join(folder, 'lib/node'),
  ...PACKAGE_FILES.filter((file) => file.endsWith('.node')).map((file) =>
    join(folder, 'node_modules', file),
  ),
]

/** Every library that Node and the native parts name, and what those name in turn. */
async function copyLibraries(folder: string): Promise<void> {
  const libraries = new Map<string, string>()
  for (const file of nativeFiles(folder)) {
    const { stdout } = await run(['ldd', file], { stdout: 'capture' })
    if (stdout.includes('not found')) throw new Error(`bundling ${file}: ${stdout}`)
    for (const [path] of stdout.matchAll(/\/\S+(?= \(0x)/g)) libraries.set(basename(path), path)
  }
  if (!libraries.has(LOADER)) throw new Error(`bundling: ldd names no ${LOADER}`)
  await copyTo(
    folder,
    [...libraries].map(([name, path]) => [path, join('lib', name)] as const),
  )
}

async function strip(folder: string): Promise<void> {
  await run(['strip', '--strip-all', ...nativeFiles(folder)]).catch((error: unknown) => {
    process.stderr.write(`bundle: not stripped, so larger: ${String(error)}\n`)
  })
}

/** Also of which sources the libraries were built: whoever passes them on may be asked. */
async function copyLicences(folder: string): Promise<void> {
  const common = ['LGPL-2.1', 'GPL-3'].map(
    (name) => [`/usr/share/common-licenses/${name}`, `licences/${name}.txt`] as const,
  )
  const own = LIBRARY_PACKAGES.map(
    (name) => [`/usr/share/doc/${name}/copyright`, `licences/${name}.txt`] as const,
  )
  const node = [join(root, 'scripts/bundle/node-LICENSE.txt'), 'licences/node.txt'] as const
  await copyTo(folder, [node, ...common, ...own])
  const [source, release, name] = ['source:Package', 'source:Version', 'Package'].map(
    (field) => `\${${field}}`,
  )
  const format = `--showformat=${source} ${release} (${name})\\n`
  const argv = ['dpkg-query', '--show', format, ...LIBRARY_PACKAGES] as const
  const { stdout } = await run(argv, { stdout: 'capture' })
  await writeFile(join(folder, 'licences/libraries.txt'), stdout)
}

/** An archive of `folder` that depends on nothing but names and contents. */
async function makeTar(folder: string, target: string): Promise<void> {
  const always = ['--sort=name', `--mtime=@${TIME_SECONDS}`, '--mode=u=rwX,go=rX']
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--format=gnu']
  const what = ['--directory', dirname(folder), basename(folder)]
  await run(['tar', '--create', ...always, ...owner, '--file', target, ...what])
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** Compresses `tar` to `target`, unless what is there was made of the same bytes. */
async function compress(tar: string, target: string): Promise<void> {
  const stamp = `${target}.content-sha256`
  const digest = `${await sha256(tar)}\n`
  const known = existsSync(target) ? await readFile(stamp, 'utf8').catch(() => '') : ''
  if (known === digest) return
  await rm(stamp, { force: true })
  const partial = `${target}.${process.pid}.partial`
  try {
    await run(['zstd', '-19', '--threads=0', '--quiet', '--force', tar, '-o', partial])
    await rename(partial, target)
    await writeFile(stamp, digest)
  } finally {
    await rm(partial, { force: true })
  }
}

/** Gives `file` one more name, in one step: another suite may be reading the old one. */
async function alias(file: string, name: string): Promise<void> {
  const partial = `${name}.${process.pid}.partial`
  await rm(partial, { force: true })
  await link(file, partial)
  await rename(partial, name)
  // Renaming one name of a file to another name of it does nothing.
  await rm(partial, { force: true })
}

const { version }: { readonly version: string } = JSON.parse(
  await readFile(join(root, 'package.json'), 'utf8'),
)
await mkdir(build, { recursive: true })
await using scratch = await makeScratch('bundle', build)
const name = `osflash-${version}-linux-x64`
const folder = join(scratch.path, name)
await copyProgram(folder)
await strip(folder)
await copyLibraries(folder)
await copyLicences(folder)
const tar = join(scratch.path, 'bundle.tar')
await makeTar(folder, tar)
const target = join(build, `${name}.tar.zst`)
await compress(tar, target)
for (const parent of [build, join(root, 'recipes')]) await alias(target, join(parent, STABLE_NAME))
const [packed, unpacked] = await Promise.all([stat(target), stat(tar)])
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
console.log(`${target}: ${mebibytes(packed.size)} MiB, unpacked ${mebibytes(unpacked.size)} MiB`)
