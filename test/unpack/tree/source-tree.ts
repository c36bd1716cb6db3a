/**
 * A tree with everything that a payload may hold: names, modes, links, attributes, times, runs of
 * zeros that get no frame; for root also owners, a device and attributes outside of `user.`.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { MIB } from '../../../src/units.ts'
import { noise } from '../../pack/image/fixtures.ts'
import { settleTimes } from './described-tree.ts'

export const isRoot = process.geteuid?.() === 0
/** The escaped name that Debian's systemd ships. */
export const SLICE = 'system-systemd\\x2dcryptsetup.slice'

/** Fills a new folder; gives the number of entries below it. */
export function makeSourceTree(folder: string): number {
  const at = (name: string) => join(folder, name)
  mkdirSync(at('lib/systemd/system'), { recursive: true })
  writeFileSync(at(`lib/systemd/system/${SLICE}`), '[Unit]\n')
  writeFileSync(at('\\top\\x2dlevel'), 'a name that tar must not unquote')
  writeFileSync(at('line\nfeed'), '')
  writeFileSync(at('äöü 漢字'), 'unicode')
  writeFileSync(Buffer.from(`${folder}/no-utf-8-\xff`, 'latin1'), 'bytes')
  makeFilesWithZeros(folder)
  mkdirSync(at('private'))
  writeFileSync(at('private/setuid'), '#!/bin/sh\n')
  chmodSync(at('private/setuid'), 0o4755)
  linkSync(at('private/setuid'), at('private/same'))
  symlinkSync('/etc/passwd', at('link'))
  setAttribute(at('noise'), 'user.text', 'v')
  setAttribute(at('private'), 'user.of-directory', '0x00ff0a')
  if (isRoot) addWhatRootMay(folder)
  chmodSync(at('private'), 0o1750)
  utimesSync(at('noise'), 1_234_567_890.25, 1_234_567_890.25)
  settleTimes(folder)
  const all = execFileSync('find', [folder, '-mindepth', '1', '-printf', 'x'])
  return all.length
}

/** More than 4 frames; zeros within a file, from its start, and to the end of one. */
function makeFilesWithZeros(folder: string): void {
  const zeros = Buffer.alloc(6 * MIB)
  writeFileSync(join(folder, 'noise'), noise(21 * MIB + 77, 1))
  const around = Buffer.concat([noise(3_000, 2), zeros, noise(5_000, 3)])
  writeFileSync(join(folder, 'zeros-within'), around)
  writeFileSync(join(folder, 'zeros-only'), zeros)
  writeFileSync(join(folder, 'zeros-to-the-end'), noise(MIB, 4))
  truncateSync(join(folder, 'zeros-to-the-end'), 9 * MIB + 1)
}

function addWhatRootMay(folder: string): void {
  chownSync(join(folder, 'noise'), 1_234, 56_789)
  chownSync(join(folder, 'private'), 33, 44)
  execFileSync('mknod', ['-m', '620', join(folder, 'null'), 'c', '1', '3'])
  setAttribute(join(folder, 'link'), 'trusted.of-link', 'v')
}

function setAttribute(path: string, name: string, value: string): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', value, path])
}
