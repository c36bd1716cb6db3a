/**
 * What `osflash pack` does.
 *
 * 1. Keys are read before the source is looked at.
 * 2. What the source cannot say of itself (name, sequence, system) comes from options.
 */
import { basename } from 'node:path'
import { importSource } from '../../pack/build/import.ts'
import { packImage } from '../../pack/image/pack.ts'
import { makeScratch } from '../../system/scratch.ts'
import { certificatesOf, secretKeysOf } from '../key-files.ts'
import { packOptionsOf } from '../pack-options.ts'
import { tellPacked } from '../packed-text.ts'
import type { PackingOptions } from '../shared-options.ts'
import { sourceDateEpoch } from '../source-date-epoch.ts'
import type { VerbContext } from '../verb.ts'

export interface PackVerbOptions extends PackingOptions {
  readonly name?: string
  readonly sequence: number
  readonly expires?: string
  readonly osFamily: 'linux' | 'windows' | 'other'
  readonly title?: string
}

/** @throws OsflashError `refused`, `missing-tool` and what packing gives */
export async function pack(
  path: string,
  options: PackVerbOptions,
  context: VerbContext,
): Promise<void> {
  const { emit, signal, env } = context
  const { passphraseFile } = options
  const recipients = await certificatesOf(options.recipient)
  const signers = await secretKeysOf(options.signWith, { passphraseFile, signal })
  await using scratch = await makeScratch('pack', env.TMPDIR)
  const description = {
    name: options.name ?? nameFrom(path),
    sequence: options.sequence,
    ...(options.expires === undefined ? {} : { expires: options.expires }),
    os: {
      family: options.osFamily,
      ...(options.title === undefined ? {} : { title: options.title }),
    },
    architecture: 'x86_64' as const,
  }
  const source = await importSource(path, description, {
    scratch: scratch.path,
    sourceDateEpoch: sourceDateEpoch(env),
    signal,
    emit,
  })
  const sealing = { ...packOptionsOf(options), recipients, signers }
  const report = await packImage(source, { ...sealing, signal, emit })
  tellPacked(context, options.output, report)
}

/** The source's own name, as far as an image may bear it. */
function nameFrom(path: string): string {
  const plain = basename(path).toLowerCase().split('.')[0] ?? ''
  const name = plain.replaceAll(/[^a-z0-9._-]+/g, '-').replace(/^[^a-z0-9]+/, '')
  return name === '' ? 'image' : name.slice(0, 63)
}
