/** Lists of lsblk, as old and new versions of util-linux print them. */
import { describe, expect, it } from 'vitest'
import { nodesOf, parseLsblk } from '../../../src/flash/host/lsblk.ts'

const disk = { name: 'sda', kname: 'sda', type: 'disk' }

describe('the list of lsblk', () => {
  it('reads numbers and truth as version 2.38 prints them', () => {
    const [node] = parseLsblk(
      JSON.stringify({
        blockdevices: [
          {
            ...disk,
            path: '/dev/sda',
            size: 1024,
            'log-sec': 4096,
            ro: true,
            serial: ' S1 ',
            tran: 'sata',
          },
        ],
      }),
    )
    expect(node).toEqual({
      name: 'sda',
      path: '/dev/sda',
      type: 'disk',
      bytes: 1024,
      sectorBytes: 4096,
      readOnly: true,
      transport: 'sata',
      serial: 'S1',
      children: [],
    })
  })

  it('reads them as version 2.29 prints them: as strings, without a path', () => {
    const [node] = parseLsblk(
      JSON.stringify({
        blockdevices: [
          { ...disk, size: '1024', 'log-sec': '512', ro: '0', model: null, wwn: '0x5000' },
        ],
      }),
    )
    expect(node).toMatchObject({
      path: '/dev/sda',
      bytes: 1024,
      sectorBytes: 512,
      readOnly: false,
      wwn: '0x5000',
    })
    expect(node).not.toHaveProperty('model')
  })

  it('shows a RAID below each of its disks, parents first', () => {
    const md = { name: 'md0', kname: 'md0', type: 'raid1' }
    const part = (name: string) => ({ name, kname: name, type: 'part', children: [md] })
    const nodes = parseLsblk(
      JSON.stringify({
        blockdevices: [
          { ...disk, children: [part('sda1')] },
          { ...disk, name: 'sdb', kname: 'sdb', children: [part('sdb1')] },
        ],
      }),
    )
    expect(nodes.map((node) => [...nodesOf(node)].map(({ name }) => name))).toEqual([
      ['sda', 'sda1', 'md0'],
      ['sdb', 'sdb1', 'md0'],
    ])
  })

  it.each(['', '{}', '{"blockdevices":[{"type":"disk"}]}'])('refuses %j', (text) => {
    expect(() => parseLsblk(text)).toThrow('lsblk printed no such list')
  })
})
