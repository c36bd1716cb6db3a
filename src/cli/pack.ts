/**
 * `osflash pack SOURCE -o IMAGE`: an image from something that exists.
 *
 * 1. A disk image or a block device becomes a disk, partition by partition; a folder or a tarball
 *    becomes a tree.
 * 2. What it does is loaded when it is run: actions/pack.ts.
 */

import { InvalidArgumentError } from 'commander'
import type { PackVerbOptions } from './actions/pack.ts'
import { integer, packingOptions } from './shared-options.ts'
import type { Verb } from './verb.ts'

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
      .action(async (path: string, options: PackVerbOptions) => {
        const { pack } = await import('./actions/pack.ts')
        await pack(path, options, context)
      })
  },
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
