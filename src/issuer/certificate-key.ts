import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

export const keyTypes = ['ec256', 'ec384', 'ec521', 'rsa2048', 'rsa3072', 'rsa4096'] as const
export type KeyType = (typeof keyTypes)[number]

const generate = promisify(generateKeyPair) as (
  type: 'ec' | 'rsa',
  options: { readonly namedCurve: string } | { readonly modulusLength: number },
) => Promise<{ readonly privateKey: KeyObject }>

/** A new private key. RSA keys take a while, but do not keep anything else waiting. */
export const generateKey = async (type: KeyType): Promise<KeyObject> => {
  const size = Number(type.replace(/^\D+/, ''))
  const { privateKey } = type.startsWith('rsa')
    ? await generate('rsa', { modulusLength: size })
    : await generate('ec', { namedCurve: `P-${size}` })
  return privateKey
}

export const isKeyType = (text: string): text is KeyType => keyTypes.some((one) => one === text)
