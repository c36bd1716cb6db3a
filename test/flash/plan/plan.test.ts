/** UUIDs that a plan gives: the same for the same plan, so that an interrupted run is found. */
import { describe, expect, it } from 'vitest'
import { uuidFrom } from '../../../src/flash/plan/plan.ts'

const digest = 'a'.repeat(64)

describe('uuidFrom', () => {
  it('is a UUID of version 8 and of the usual variant', () => {
    const form = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(uuidFrom(digest, 'store')).toMatch(form)
  })

  it('differs by plan and by what it names', () => {
    const names = [uuidFrom(digest, 'store'), uuidFrom(digest, 'partition')]
    const others = [uuidFrom('b'.repeat(64), 'store'), uuidFrom(digest, 'store')]
    expect(new Set([...names, ...others]).size).toBe(3)
  })
})
