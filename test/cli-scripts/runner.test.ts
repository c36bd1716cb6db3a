/** The runner of the scripts must fail where a script does not hold. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runScript } from './runner.ts'
import { parseScript } from './script.ts'

async function play(text: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'osflash-runner-'))
  try {
    await runScript(parseScript(text), { folder, program: 'true' })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test.each([
  ['osflash takes any argument\n'],
  ['exec printf %s $HOME\nstdout ^/\n'],
  ["exec printf %s '$HOME it''s'\nstdout '\\$HOME it''s'\n"],
  ['! exec false\nstatus 1\n'],
  ['exists a.txt b/c.txt\n! exists d\n-- a.txt --\nA\n-- b/c.txt --\n'],
  ['cp a b\ncmp a b\nflip b 0\n! cmp a b\nflip b 0\ncmp a b\n-- a --\nAAA\n'],
  ['cp a b\nflip b random\n! cmp a b\n-- a --\nAAA\n'],
  ['exec cat a\ncmp stdout a\n-- a --\none\n\ntwo\n'],
  ['stdin a\nexec cat\nstdout ^AAA$\nexec cat\n! stdout A\n-- a --\nAAA\n'],
  ['mkdir x/y\nexists x/y\nrm x\n! exists x\n'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the script
  ['env COLOUR=a=b\nexec printenv COLOUR\nstdout ^a=b$\nexec echo ${COLOUR}c\nstdout ^a=bc$\n'],
  ['chmod 400 a\nexec stat -c %a a\nstdout ^400$\n-- a --\n'],
  ['# a comment\n\n'],
])('holds: %j', async (text) => {
  await expect(play(text)).resolves.toBeUndefined()
})

test.each([
  ['exec true\nexec false\n', 'line 2: exec false: exit status 1'],
  ['! exec true\n', 'line 1: ! exec true: exit status 0'],
  ['! osflash\n', 'line 1: ! osflash: exit status 0'],
  ['exec true\nstatus 3\n', 'line 2: status 3: was 0'],
  ['status 0\n', 'nothing was run yet'],
  ['exec echo a\nstdout b\n', 'line 2: stdout b: stdout was:\na'],
  ['exec echo a\n! stdout a\n', 'line 2: ! stdout a'],
  ['exec echo a\nstderr a\n', 'line 2: stderr a'],
  ['exists a\n', 'a does not exist'],
  ['! exists a\n-- a --\n', 'a exists'],
  ['cmp a b\n-- a --\nA\n-- b --\nB\n', 'the bytes differ'],
  ['! cmp a b\n-- a --\n-- b --\n', 'the bytes are the same'],
  ['flip a 4\n-- a --\nabc\n', 'no byte at 4 of 4'],
  ['explode\n', 'line 1: explode: no such command'],
  ['! mkdir a\n', 'no ! here'],
  ["exec echo 'a\n", 'line 1: unbalanced quotes'],
  ['exec no-such-program-here\n', 'line 1: exec no-such-program-here'],
])('breaks: %j', async (text, message) => {
  await expect(async () => play(text)).rejects.toThrow(message)
})
