/**
 * `osflash pack SOURCE -o IMAGE`: an image from something that exists.
 *
 * 1. A disk image or a block device becomes a disk, partition by partition; a folder or a tarball
 *    becomes a tree.
 * 2. What the source cannot say of itself (name, sequence, system) comes from options.
 */
import { basename } from 'node:path'
import { InvalidArgumentError } from 'commander'
import { importSource } from '../pack/build/import.ts'
import { packImage } from '../pack/image/pack.ts'
import { makeScratch } from '../system/scratch.ts'
import { certificatesOf, secretKeysOf } from './key-files.ts'
import { packOptionsOf } from './pack-options.ts'
import { tellPacked } from './packed-text.ts'
import { integer, type PackingOptions, packingOptions } from './shared-options.ts'
import { sourceDateEpoch } from './source-date-epoch.ts'
import type { Verb, VerbContext } from './verb.ts'

interface PackVerbOptions extends PackingOptions {
  readonly name?: string
  readonly sequence: number
  readonly expires?: string
  readonly osFamily: 'linux' | 'windows' | 'other'
  readonly title?: string
}

export const verb: Verb = {
  name: 'pack',
  register: (program, context) => {
    const command = program
      .command('pack')
      .argument('<source>', 'disk image (raw, qcow2, vhdx, vmdk), block device, folder or tarball')
      .description('make an image from a disk or a tree that exists')
      .option('--name <name>', 'name of the image (default: from the source)')
      .option('--sequence <n>', 'grows with each release', integer(0, 2 ** 53 - 1), 0)
      .option('--expires <time>', 'no replacement starts after it (2027-01-31T00:00:00Z)', time)
      .option('--os-family <family>', 'linux, windows or other', family, 'linux')
      .option('--title <text>', 'the system in words')
    packingOptions(command)
      .addHelpText(
        'after',
        `
Examples:
  osflash pack disk.qcow2 -o disk.osimg --recipient recipient.pub --sign-with signer.key
  osflash pack rootfs/ -o tree.osimg --name my-tree \\
    --recipient recipient.pub --sign-with signer.key`,
      )
      .action((path: string, options: PackVerbOptions) => pack(path, options, context))
  },
}

async function pack(path: string, options: PackVerbOptions, context: VerbContext): Promise<void> {
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

function time(text: string): string {
  const known = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text)
  if (known && !Number.isNaN(Date.parse(text))) return text
  throw new InvalidArgumentError('must be a time in UTC, such as 2027-01-31T00:00:00Z')
}

function family(text: string): PackVerbOptions['osFamily'] {
  if (text === 'linux' || text === 'windows' || text === 'other') return text
  throw new InvalidArgumentError('must be linux, windows or other')
}
