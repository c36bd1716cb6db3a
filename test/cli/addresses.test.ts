/** Verbs that read take addresses too, and fail with the status of the network. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import { type HostileServer, type Spoil, sendGood, serve } from '../deliver/hostile-server.ts'
import { vectorKey, vectorPath } from '../vectors/vectors.ts'
import { OPEN, play } from './play.ts'

async function serveVector(name: string, spoil: Spoil = () => undefined): Promise<HostileServer> {
  return serve(spoil, { file: await readFile(vectorPath(name)) })
}

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('addresses')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

test.each(['inspect', 'verify'])('%s says the same of an address as of a file', async (verb) => {
  const { url } = await serveVector('ok-zstd-ocb')
  const options = verb === 'verify' ? OPEN : []
  const remote = await play([verb, url, ...options])
  const local = await play([verb, vectorPath('ok-zstd-ocb'), ...options])
  expect(remote).toEqual({ ...local, stdout: remote.stdout })
  expect(remote.status).toBe(0)
  expect(remote.stdout.replaceAll(url, 'IMAGE')).toBe(
    local.stdout.replaceAll(vectorPath('ok-zstd-ocb'), 'IMAGE'),
  )
})

test('unpack writes what unpacking the file writes', async () => {
  const folder = await scratchFolder()
  const { url } = await serveVector('ok-zstd-ocb')
  const to = (name: string): string => join(folder, name)
  const remote = await play(['unpack', url, '--to', to('remote'), ...OPEN])
  const local = await play(['unpack', vectorPath('ok-zstd-ocb'), '--to', to('local'), ...OPEN])
  expect([remote.status, local.status]).toEqual([0, 0])
  expect((await readFile(to('remote'))).equals(await readFile(to('local')))).toBe(true)
})

test('rewrap reads an address into a file, and needs a name for it', async () => {
  const output = join(await scratchFolder(), 'two.osimg')
  const { url } = await serveVector('ok-zstd-ocb')
  const add = ['--add', vectorKey('other.pub'), '--identity', vectorKey('recipient.key')]
  expect(await play(['rewrap', url, ...add])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('--output'),
  })
  const ended = await play(['rewrap', url, ...add, '--output', output])
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect((await play(['inspect', output])).stdout.match(/recipient {2}/g)).toHaveLength(2)
})

test('a server that cannot serve ranges: one line, what to do, status 5', async () => {
  const server = await serveVector('ok-zstd-ocb', (asked, response) =>
    sendGood(asked, response, { status: 200 }),
  )
  const { status, stderr } = await play(['inspect', server.url])
  expect(status).toBe(5)
  expect(stderr.split('\n')).toEqual([
    `osflash: error: reading ${server.url} at byte 0: ` +
      'the server answers a range with the whole file (200)',
    expect.stringMatching(/^hint: serve the image with ranges and strong ETags/),
    'hint: or fetch the image first and give the path of the file',
    '',
  ])
})

test('another place than files and servers is refused', async () => {
  expect(await play(['inspect', 'oci://registry.example/debian:13'])).toMatchObject({ status: 3 })
})
