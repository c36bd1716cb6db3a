/** Which name is read how. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { isAddress, openSource } from '../../src/deliver/open.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { FILE, serve } from './hostile-server.ts'

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('open-source')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

test('a path is a file, also one that looks a little like an address', async () => {
  const folder = await scratchFolder()
  await mkdir(join(folder, 'http:'))
  const path = join(folder, 'http:/image.osimg')
  await writeFile(path, 'abc')
  await using source = await openSource(path)
  expect(source).toMatchObject({ name: path, bytes: 3 })
})

test.each(['http', 'HTTP'])('%s is read from the server', async (scheme) => {
  const { host } = await serve(() => undefined)
  await using source = await openSource(`${scheme}://${host}/image.osimg`)
  expect(source).toMatchObject({ name: `http://${host}/image.osimg`, bytes: FILE.length })
})

test('the signal ends the opening', async () => {
  const stop = new AbortController()
  const { url } = await serve(() => {
    stop.abort()
    return true
  })
  await expect(openSource(url, { signal: stop.signal })).rejects.toMatchObject({
    code: 'cancelled',
  })
})

test.each([
  ['oci://registry.example/debian:13', /: registries are not read yet$/],
  ['ftp://host/image.osimg', /: no way to read ftp:\/\/$/],
])('%s is refused', async (place, message) => {
  await expect(openSource(place)).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringMatching(message),
    hints: ['give an http or https address, or the path of a file'],
  })
})

test('an address has a scheme and two slashes', () => {
  const places = ['https://x/y', 'oci://x/y', 'a.osimg', './http://x', '/http://x', 'c:/x']
  expect(places.filter(isAddress)).toEqual(['https://x/y', 'oci://x/y'])
})
