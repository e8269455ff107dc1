import { open } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import { decodeText } from '../certificate/container.js'
import { materialLimit } from '../certificate/material.js'
import { CertError, systemCode } from '../errors.js'
import { interrupted } from '../patience.js'
import { Secret } from '../secret.js'
import type { Source } from './source.js'

export interface PemFiles {
  readonly name?: string | undefined
  /** Paths of what holds the certificates; `-` is standard input. */
  readonly certificates: readonly string[]
  /** More of them, where there are such files. */
  readonly perhaps?: readonly string[] | undefined
  /** Absent where the key stands among the certificates. */
  readonly key?: string | undefined
}

/** PEM files, named one by one, or everything together on standard input. */
export const pemFiles = (files: PemFiles, standardInput: Readable): Source => ({
  collect: async (signal) => {
    const texts = new Map<string, string>()
    // One after another: standard input can be read only once, and named twice.
    for (const path of new Set([...files.certificates, ...(files.key === undefined ? [] : [files.key])])) {
      texts.set(path, path === '-' ? await readStream(standardInput, signal) : await readTextFile(path))
    }
    for (const path of files.perhaps ?? []) {
      const text = await readTextFile(path).catch(unlessMissing)
      if (text !== undefined) texts.set(path, text)
    }
    const all = [...files.certificates, ...(files.perhaps ?? [])]
    const certificates = all.map((path) => texts.get(path) ?? '').join('\n')
    return {
      name: files.name,
      certificates,
      privateKey: Secret.material(files.key === undefined ? certificates : (texts.get(files.key) ?? '')),
    }
  },
})

const unlessMissing = (error: unknown): undefined => {
  if (!(error instanceof CertError && systemCode(error.cause) === 'ENOENT')) throw error
}

/**
 * A small text file of the user's.
 * @throws CertError FILE_UNREADABLE, INPUT_TOO_LARGE
 */
export const readTextFile = async (path: string): Promise<string> => {
  try {
    const file = await open(path, 'r')
    try {
      const buffer = Buffer.alloc(materialLimit + 1)
      let length = 0
      for (let read = -1; read !== 0 && length < buffer.length; length += read) {
        read = (await file.read(buffer, length, buffer.length - length)).bytesRead
      }
      if (length > materialLimit) throw tooLarge(path)
      return decodeText(buffer.subarray(0, length))
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined || error instanceof CertError) throw error
    throw new CertError('FILE_UNREADABLE', `${path} cannot be read: ${explanations[code] ?? code}`, {
      cause: error,
      hint: code === 'EACCES' ? 'run it as the user that owns the file (certbot: root)' : 'check the path',
    })
  }
}

const explanations: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
}

const readStream = async (stream: Readable, signal: AbortSignal): Promise<string> => {
  const pieces: Buffer[] = []
  let size = 0
  try {
    for await (const piece of addAbortSignal(signal, stream)) {
      const bytes = Buffer.from(piece as Buffer | string)
      pieces.push(bytes)
      size += bytes.length
      if (size > materialLimit) throw tooLarge('standard input')
    }
  } catch (error) {
    throw signal.aborted ? interrupted() : error
  }
  return decodeText(Buffer.concat(pieces))
}

const tooLarge = (what: string): CertError =>
  new CertError('INPUT_TOO_LARGE', `${what} is larger than 1 MiB`, {
    hint: 'give the leaf, its intermediates and the key, and nothing else',
  })
