/**
 * What `npm run bundle` makes, in a root that holds nothing but busybox.
 *
 * The root has no C library and no certificates; there are /proc and /dev/null, as the kernel
 * gives them to every system.
 */
import {
  chmod,
  copyFile,
  mkdir,
  readFile,
  readlink,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunOptions, type RunResult, run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { OPEN } from '../cli/play.ts'
import { vectorKey, vectorPath } from '../vectors/vectors.ts'

const project = join(import.meta.dirname, '../..')
const archive = join(project, 'build/osflash-linux-x64.tar.zst')
const APPLETS = ['sh', 'readlink', 'env', 'sha256sum', 'cat'] as const
const KEYS = ['signer.pub', 'signer.key', 'recipient.pub', 'recipient.key'] as const
const IMAGES = ['ok-zstd-ocb', 'ok-xz'] as const
/** As the host's programs: not a file of the bundle. */
const NAMES_ITS_ENVIRONMENT = '#!/bin/sh\nenv > /data/environment\nexit 1\n'

/** The first bundle of a checkout takes a minute of both cores, and other tests want them too. */
const MAKING_MS = 15 * 60_000

let scratch: Scratch
let root = ''
const inRoot = (...parts: readonly string[]) => join(root, ...parts)

const bundle = () =>
  run([process.execPath, 'scripts/bundle.ts'], { cwd: project, stdout: 'capture' })

beforeAll(async () => {
  await bundle()
  scratch = await makeScratch('busybox')
  root = scratch.path
  for (const name of ['bin', 'usr/bin', 'opt', 'dev', 'proc', 'tmp', 'data']) {
    await mkdir(inRoot(name), { recursive: true })
  }
  await writeFile(inRoot('dev/null'), '')
  await copyFile('/bin/busybox', inRoot('bin/busybox'))
  for (const applet of APPLETS) await symlink('busybox', inRoot('bin', applet))
  await run(['tar', '--extract', '--zstd', '--file', archive, '--directory', inRoot('opt')])
  const { version } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))
  await symlink(`osflash-${version}-linux-x64`, inRoot('opt/osflash'))
  await symlink('../../opt/osflash/bin/osflash', inRoot('usr/bin/osflash'))
  for (const name of KEYS) await copyFile(vectorKey(name), inRoot('data', name))
  for (const name of IMAGES) await copyFile(vectorPath(name), inRoot('data', `${name}.osimg`))
}, MAKING_MS)
afterAll(() => scratch?.[Symbol.asyncDispose]())

const ENTER = `
/bin/mount -t proc proc "$0/proc"
/bin/mount --bind /dev/null "$0/dev/null"
exec /usr/sbin/chroot "$0" "$@"`

/** Runs a program of the root in it. */
function enter(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const spaces = ['--mount', '--pid', '--fork', '--kill-child'] as const
  const env = { PATH: '/bin:/usr/bin', ...options.env }
  return run(['/usr/bin/unshare', ...spaces, '/bin/sh', '-euc', ENTER, root, ...argv], {
    stdout: 'capture',
    ...options,
    env,
  })
}

test('a bundle of the same sources is the same, byte for byte', async () => {
  const before = await stat(archive)
  const { stdout } = await bundle()
  expect(stdout).toMatch(/^\/.*\/osflash-[\d.]+-linux-x64\.tar\.zst: [\d.]+ MiB, unpacked /)
  // An archive with other content would have been written anew.
  expect((await stat(archive)).ino).toBe(before.ino)
  const beside = await stat(join(project, 'recipes', basename(archive)))
  expect(beside.ino).toBe(before.ino)
})

test('the licences of everything in it are in it', async () => {
  const licence = (name: string) => readFile(inRoot('opt/osflash', name), 'utf8')
  expect(await licence('LICENSE')).toContain('Apache License')
  expect(await licence('licences/node.txt')).toMatch(/^Node.js is licensed for use as follows/)
  expect(await licence('licences/LGPL-2.1.txt')).toContain('GNU LESSER GENERAL PUBLIC LICENSE')
  expect(await licence('licences/libc6.txt')).toContain('GNU C Library')
  expect(await licence('licences/libraries.txt')).toMatch(/^glibc 2\.\S+ \(libc6\)$/m)
  expect(await licence('dist/THIRD-PARTY-LICENSES.txt')).toContain('commander')
  expect(await licence('node_modules/zstd-napi/deps/zstd/LICENSE')).toContain('BSD License')
})

// Entering another root needs root.
describe.skipIf(process.getuid?.() !== 0)('as root, with busybox alone', () => {
  test.each(['/opt/osflash/bin/osflash', '/usr/bin/osflash'])('%s starts', async (path) => {
    const { version } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))
    expect((await enter([path, '--version'])).stdout).toBe(`${version}\n`)
  })

  test('inspect describes an image', async () => {
    const { stdout } = await enter(['/usr/bin/osflash', 'inspect', '/data/ok-xz.osimg'])
    expect(stdout).toMatch(/^\/data\/ok-xz\.osimg: vector, sequence 1, made /)
  })

  test.each(IMAGES)('unpack writes what an installation writes: %s', async (name) => {
    await unpackInRoot(name)
    const expected = inRoot('data', `${name}.expected`)
    await run([join(project, 'bin/osflash'), 'unpack', vectorPath(name), '--to', expected, ...OPEN])
    expect(await readFile(inRoot('data', `${name}.raw`))).toEqual(await readFile(expected))
  })

  test('a host with the C library musl changes nothing', async () => {
    // How the packages with native parts find out.
    await writeFile(inRoot('usr/bin/ldd'), 'musl libc')
    await unpackInRoot('ok-xz')
    expect((await stat(inRoot('data/ok-xz.raw'))).size).toBeGreaterThan(0)
  })

  test('a key that is not there is refused in one line, status 6', async () => {
    const argv = ['/usr/bin/osflash', 'verify', '/data/ok-xz.osimg', '--trust', '/data/none.pub']
    const { status, stderrTail } = await enter(argv, { statuses: [6] })
    expect(status).toBe(6)
    expect(stderrTail).toMatch(/^osflash: error: .*none\.pub/m)
  })

  test('programs of the host get no library of the bundle', async () => {
    await writeFile(inRoot('usr/bin/qemu-img'), NAMES_ITS_ENVIRONMENT)
    await chmod(inRoot('usr/bin/qemu-img'), 0o755)
    await writeFile(
      inRoot('data/disk.qcow2'),
      Buffer.from('QFI\xfb\0\0\0\x03'.padEnd(512), 'latin1'),
    )
    const seal = ['--recipient', '/data/recipient.pub', '--sign-with', '/data/signer.key']
    await enter(['/usr/bin/osflash', 'pack', '/data/disk.qcow2', '-o', '/data/q.osimg', ...seal], {
      env: { LD_PRELOAD: '/nonexistent.so' },
      statuses: [1, 2, 3, 4, 5, 6],
    })
    const environment = await readFile(inRoot('data/environment'), 'utf8')
    expect(environment).toMatch(/^UV_THREADPOOL_SIZE=16$/m)
    expect(environment).not.toMatch(/^LD_/m)
    expect(environment).not.toContain('/opt/osflash')
  })

  test('the bundle runs wherever it is mounted', async () => {
    expect(await readlink(inRoot('usr/bin/osflash'))).toMatch(/^\.\./)
    const { stdout } = await run([inRoot('usr/bin/osflash'), '--version'])
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

async function unpackInRoot(name: string): Promise<void> {
  const target = inRoot('data', `${name}.raw`)
  await run(['rm', '--force', target])
  const open = ['--trust', '/data/signer.pub', '--identity', '/data/recipient.key']
  const image = `/data/${name}.osimg`
  await enter(['/usr/bin/osflash', 'unpack', image, '--to', `/data/${name}.raw`, ...open])
}
