import { createHash } from 'node:crypto'
import { CertError } from '../errors.js'
import { type Flag, text } from './flag.js'

/** One part of all names, of `count` that share them out. */
export interface Shard {
  /** From 0. */
  readonly index: number
  readonly count: number
}

const words = text('take only one part of all names: 0/4, 1/4, 2/4 and 3/4 share them out among four machines', {
  placeholder: 'I/N',
})

export const shardFlag: Flag<Shard | undefined> = {
  ...words,
  read: (given, name) => {
    const value = words.read(given, name)
    if (value === undefined) return undefined
    const [, index = '', count = ''] = /^(\d{1,4})\/(\d{1,4})$/.exec(value) ?? []
    if (index === '' || Number(index) >= Number(count)) {
      throw new CertError('USAGE', `--${name} takes a part and how many there are, not "${value}"`, {
        hint: `parts are counted from 0: --${name} 0/4 to --${name} 3/4`,
      })
    }
    return { index: Number(index), count: Number(count) }
  },
}

/** Always the same part for a name, whatever other names there are. */
export const isInShard = (name: string, shard: Shard | undefined): boolean =>
  shard === undefined || createHash('sha256').update(name).digest().readUInt32BE(0) % shard.count === shard.index
