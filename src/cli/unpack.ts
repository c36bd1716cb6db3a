/**
 * `osflash unpack IMAGE --to TARGET`: writes an image to a disk, a disk file or a directory.
 *
 * 1. Options and their help; what they do is in actions/unpack.ts.
 * 2. The action is loaded when the verb is run, because its stages take long to load.
 */
import { startDecodeThreads } from '../unpack/decode-threads.ts'
import type { UnpackVerbOptions } from './actions/unpack.ts'
import { readingOptions, size } from './shared-options.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'unpack',
  register: (program, context) => {
    const command = program
      .command('unpack')
      .argument('<image>', 'path or http(s) address of the image')
      .description('write an image to a disk, a disk file or a directory')
      .requiredOption('--to <target>', 'block device, file, or directory (for trees)')
      .option(
        '--size <size>',
        'size of a new file, such as 20GiB (default: as small as it goes)',
        size,
      )
      .option('--force', 'write into a file that exists')
      .option('--resume', 'go on after an interruption')
      .option('--verify', 'read back what was written, past the page cache')
      .option('--dry-run', 'print the plan and write nothing')
      .option('--checkpoint <file>', 'where to remember how far it is')
      .option('--stats', 'say where the time went, and which stage limited')
    readingOptions(command)
      .addHelpText(
        'after',
        `
Examples:
  osflash unpack debian-13.osimg --to disk.img --trust signer.pub --identity recipient.key
  osflash unpack debian-13.osimg --to /dev/sdX --verify --trust signer.pub --identity recipient.key
  osflash unpack debian-13.osimg --to disk.img --resume --trust signer.pub --identity recipient.key

A block device is overwritten. It is refused while anything on it is mounted or in use.`,
      )
      .action(async (path: string, options: UnpackVerbOptions) => {
        // They take as long to start as what follows to load.
        await using threads = options.dryRun ? undefined : startDecodeThreads(options.workers)
        const { unpack } = await import('./actions/unpack.ts')
        await unpack(path, { ...options, ...(threads && { threads }) }, context)
      })
  },
}
