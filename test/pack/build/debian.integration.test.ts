/**
 * How a build from packages fails, on a mirror of the test's own: a folder, or a silent server.
 */
import { createHash } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { buildTiny } from './tiny.ts'

const recipe = (mirror: string, more = '') => `name: packages
source:
  debian:
    suite: trixie
    variant: custom
    packages: [base-files]
    mirror: "${mirror}"
${more}`

async function folderWith(text: string) {
  const folder = await makeScratch('debian-test')
  await writeFile(join(folder.path, 'recipe.yaml'), text)
  // An ordinary user's mmdebstrap reads the mirror under a subordinate id.
  await chmod(folder.path, 0o755)
  return folder
}

const failed = (folder: string) =>
  buildTiny({ folder, into: 'built' }).then(
    () => new Error('the build succeeded'),
    (error: unknown) => error,
  )

function releaseOf(packages: string, architecture: string): string {
  const sum = createHash('sha256').update(packages).digest('hex')
  return `Suite: trixie
Codename: trixie
Architectures: ${architecture}
Components: main
Date: Tue, 14 Nov 2023 22:13:20 UTC
SHA256:
 ${sum} ${packages.length} main/binary-${architecture}/Packages
`
}

/** A repository with one package that nobody asks for, signed by a key that nobody else has. */
async function signedRepository(folder: string): Promise<void> {
  const home = join(folder, 'gpg')
  await mkdir(home, { mode: 0o700 })
  const gpg = [
    'gpg',
    '--homedir',
    home,
    '--batch',
    '--quiet',
    '--pinentry-mode',
    'loopback',
  ] as const
  await run([...gpg, '--passphrase', '', '--quick-gen-key', 'test', 'ed25519', 'sign'])
  const suite = join(folder, 'repository/dists/trixie')
  await mkdir(join(suite, 'main/binary-amd64'), { recursive: true })
  const digest = '0'.repeat(64)
  const fields = ['Package: other', 'Version: 1', 'Architecture: all', 'Filename: other.deb']
  const packages = `${[...fields, 'Size: 1', `SHA256: ${digest}`, 'Description: x'].join('\n')}\n`
  await writeFile(join(suite, 'main/binary-amd64/Packages'), packages)
  await writeFile(join(suite, 'Release'), releaseOf(packages, 'amd64'))
  const signed = ['--output', join(suite, 'InRelease'), '--clearsign', join(suite, 'Release')]
  await run([...gpg, ...signed])
  await run(['gpgconf', '--homedir', home, '--kill', 'all'])
}

test('a suite whose key is unknown says which, and that a newer keyring helps', async () => {
  await using folder = await folderWith('')
  await signedRepository(folder.path)
  const mirror = `deb copy://${folder.path}/repository trixie main`
  await writeFile(join(folder.path, 'recipe.yaml'), recipe(mirror))
  const error = await failed(folder.path)
  expect(error).toMatchObject({
    code: 'process',
    message: expect.stringMatching(/^installing trixie: /),
    data: { suite: 'trixie', program: 'mmdebstrap' },
    hints: expect.arrayContaining(['apt-get install debian-archive-keyring']),
  })
  expect(await readdir(join(folder.path, 'built'))).not.toContain('root')
})

test('a package that no mirror has is named', async () => {
  await using folder = await folderWith('')
  await signedRepository(folder.path)
  const mirror = `deb [trusted=yes] copy://${folder.path}/repository trixie main`
  await writeFile(join(folder.path, 'recipe.yaml'), recipe(mirror))
  expect(await failed(folder.path)).toMatchObject({
    code: 'process',
    hints: ['check source.debian.packages and source.debian.components'],
  })
})

test('a mirror without the suite says so', async () => {
  await using folder = await folderWith('')
  await signedRepository(folder.path)
  await rm(join(folder.path, 'repository/dists/trixie/InRelease'))
  await writeFile(join(folder.path, 'repository/dists/trixie/Release'), releaseOf('', 'i386'))
  const mirror = `deb [trusted=yes] copy://${folder.path}/repository trixie main`
  await writeFile(join(folder.path, 'recipe.yaml'), recipe(mirror))
  expect(await failed(folder.path)).toMatchObject({
    code: 'process',
    hints: ['check source.debian.suite, source.debian.components and the mirror'],
  })
})

test('a mirror that does not answer says how to name another', async () => {
  // Port 9 (discard) is closed on a machine that tests run on.
  await using folder = await folderWith(recipe('http://127.0.0.1:9/debian'))
  expect(await failed(folder.path)).toMatchObject({
    code: 'process',
    hints: ['--set source.debian.mirror=ADDRESS names another mirror'],
  })
})

test('cancelled while a mirror is silent, a build leaves no process and no tree', async () => {
  const asked = Promise.withResolvers<void>()
  const server: Server = createServer(() => asked.resolve())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    await using folder = await folderWith(recipe(`http://127.0.0.1:${port}/debian`))
    const cancel = new AbortController()
    const build = buildTiny({ folder: folder.path, into: 'built', signal: cancel.signal })
    await asked.promise
    cancel.abort()
    await expect(build).rejects.toMatchObject({ code: 'cancelled' })
    expect(await processesNaming(folder.path)).toEqual([])
    expect(await readFile('/proc/self/mounts', 'utf8')).not.toContain(folder.path)
    expect(await readdir(join(folder.path, 'built'))).not.toContain('root')
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

async function processesNaming(text: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue
    const words = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    if (words.includes(text)) found.push(words.replaceAll('\0', ' '))
  }
  return found
}
