import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { runScript } from './runner.ts'
import { parseScript } from './script.ts'

const here = import.meta.dirname
const program = join(here, '../../bin/osflash')
const scripts = readdirSync(here).filter((name) => name.endsWith('.txt'))

test.concurrent.each(scripts)('%s', async (name) => {
  const folder = await mkdtemp(join(tmpdir(), 'osflash-script-'))
  try {
    await runScript(parseScript(readFileSync(join(here, name), 'utf8')), { folder, program })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
