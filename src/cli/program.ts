/**
 * The program as commander sees it: name, version, help and the verbs.
 *
 * 1. Global options; the table of exit statuses and examples below the help.
 * 2. Each verb registers its own command.
 * 3. commander never exits and never writes errors: both are left to run-program.ts.
 */

import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import type { Verb, VerbContext } from './verb.ts'

const AFTER_HELP = `
Exit status:
  0    done
  1    unexpected: a fault of osflash
  2    usage or recipe
  3    refused, or a tool is missing
  4    trust: signature, decryption, sequence
  5    network
  6    disk or file: input/output, format, digest
  7    read-back differs
  130  cancelled

Examples:
  osflash keygen --out keys
  osflash build recipes/debian-13.yaml -o debian.osimg --recipient keys/recipient.pub \\
    --sign-with keys/signer.key
  osflash inspect debian.osimg
  osflash verify debian.osimg --trust keys/signer.pub --identity keys/recipient.key
  osflash unpack debian.osimg --to disk.img --trust keys/signer.pub \\
    --identity keys/recipient.key
  osflash plan --rescue rescue.osimg --target debian.osimg --disk SERIAL-1 --stage SERIAL-2 \\
    --trust keys/signer.pub --identity keys/recipient.key
  osflash status

Secrets come from files or descriptors, never from the command line.
`

/** Builds the command line of all verbs. */
export function makeProgram(verbs: readonly Verb[], context: VerbContext): Command {
  const program = new Command('osflash')
    .description('Replaces the operating system of a remote computer over the network.')
    .usage('[--json] VERB [arguments]')
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .option('--json', 'events as lines of JSON on stderr, results as JSON on stdout')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: () => undefined,
    })
    .addHelpText('after', AFTER_HELP)
  for (const verb of verbs) verb.register(program, context)
  return program
}

function packageVersion(): string {
  const file: unknown = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  const known = typeof file === 'object' && file !== null && 'version' in file
  return known ? String(file.version) : 'unknown'
}
