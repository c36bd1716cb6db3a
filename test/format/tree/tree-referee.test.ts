/** tar-stream reads and writes the same tars as our checker, where both accept them. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { extract, pack } from 'tar-stream'
import { expect, test } from 'vitest'
import { TarChecker } from '../../../src/format/tree/tar-check.ts'
import type { TarEntry } from '../../../src/format/tree/tar-entry.ts'
import { makeScratch } from '../../../src/system/scratch.ts'

const KINDS: Readonly<Record<TarEntry['kind'], string>> = {
  file: 'file',
  directory: 'directory',
  symlink: 'symlink',
  'hard-link': 'link',
  fifo: 'fifo',
  device: 'character-device',
}

/** An entry in the words of both. */
interface Seen {
  readonly name: string
  readonly type: string
  readonly mode: number
  readonly owner: string
  readonly seconds: number
  readonly target: string
  readonly content: string
}

function seenByUs(tar: Buffer, entries: number): Seen[] {
  const checker = new TarChecker(entries)
  const seen: { entry: TarEntry; content: string }[] = []
  for (const event of checker.feed(tar)) {
    const last = seen.at(-1)
    if (event.kind === 'entry') seen.push({ entry: event.entry, content: '' })
    else if (last !== undefined) last.content += event.bytes.toString('latin1')
  }
  checker.finish()
  return seen.map(({ entry, content }) => ({
    name: utf8(entry.path),
    type: KINDS[entry.kind],
    mode: entry.mode,
    owner: `${entry.uid}:${entry.gid}`,
    seconds: Math.floor(entry.mtime),
    target: 'target' in entry ? utf8(entry.target) : '',
    content,
  }))
}

async function seenByTarStream(tar: Buffer): Promise<Seen[]> {
  const seen: Seen[] = []
  const reader = extract()
  reader.end(tar)
  for await (const entry of reader) {
    const { header } = entry
    const plain = header.name.replace(/^\.\//, '').replace(/\/$/, '')
    seen.push({
      name: plain,
      type: header.type,
      mode: header.mode,
      owner: `${header.uid}:${header.gid}`,
      seconds: Math.floor(header.mtime.getTime() / 1000),
      target: (header.linkname ?? '').replace(/^\.\//, ''),
      content: (await buffer(entry)).toString('latin1'),
    })
  }
  return seen
}

const utf8 = (latin1: string) => Buffer.from(latin1, 'latin1').toString('utf8')

test('a tar of GNU tar is read alike', async () => {
  await using scratch = await makeScratch('tree-referee')
  const inScratch = (path: string) => join(scratch.path, path)
  const long = `${'directory/'.repeat(15)}${'n'.repeat(200)}`
  mkdirSync(inScratch('directory/'.repeat(15)), { recursive: true })
  writeFileSync(inScratch(long), 'long')
  writeFileSync(inScratch('ä 漢字'), Buffer.alloc(100_000, 'ä'))
  symlinkSync('x'.repeat(150), inScratch('symlink'))
  execFileSync('ln', ['ä 漢字', 'hard'], { cwd: scratch.path })
  execFileSync('mkfifo', ['pipe'], { cwd: scratch.path })
  const options = ['--format=pax', '--mtime=@1700000000', '--owner=:17', '--group=:18']
  const tar = execFileSync('tar', ['-c', ...options, '-C', scratch.path, '.'])
  const ours = seenByUs(tar, 21)
  expect(ours).toEqual(await seenByTarStream(tar))
  expect(ours.map(({ name }) => name)).toContain(long)
})

const part = fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }).filter((text) => {
  const bytes = Buffer.byteLength(text)
  return !/[/\\\0\n]/.test(text) && text !== '.' && text !== '..' && bytes <= 150 && bytes > 0
})
const file = fc.record({
  name: part,
  // tar-stream takes mode 0 for "not given" and writes 0644.
  mode: fc.integer({ min: 1, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 0o777777 }),
  gid: fc.integer({ min: 0, max: 0o777777 }),
  seconds: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  content: fc.uint8Array({ maxLength: 2_000 }),
})

test('what tar-stream writes is read as it was meant', async () => {
  const files = fc.uniqueArray(file, { selector: ({ name }) => name, maxLength: 8 })
  const property = fc.asyncProperty(files, async (entries) => {
    const writer = pack()
    for (const { seconds, content, ...fields } of entries) {
      writer.entry({ ...fields, mtime: new Date(seconds * 1000) }, Buffer.from(content))
    }
    writer.finalize()
    const wanted = entries.map(({ name, mode, uid, gid, seconds, content }) => ({
      name,
      type: 'file',
      mode,
      owner: `${uid}:${gid}`,
      seconds,
      target: '',
      content: Buffer.from(content).toString('latin1'),
    }))
    expect(seenByUs(await buffer(writer), entries.length)).toEqual(wanted)
  })
  await fc.assert(property, { numRuns: 200 })
})
