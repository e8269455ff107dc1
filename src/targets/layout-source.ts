import { type FileHandle, open, readdir, realpath } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ossEndpoint } from '../aliyun/endpoint.js'
import { OssBucket } from '../aliyun/oss.js'
import type { OssClientOptions } from '../aliyun/oss-client.js'
import { materialLimit } from '../certificate/material.js'
import { CertError, systemCode } from '../errors.js'
import { answerTooLarge } from '../http-connections.js'
import type { Look, ObjectStore } from '../object-store.js'
import { keyPrefix } from './layout.js'
import type { TargetSettings } from './target.js'

/** A place that a layout is read from. */
export interface LayoutSource {
  /** How a reader would name the place, with a slash at its end: `oss://my-ssl-certs/certs/`. */
  readonly name: string
  /** Where a folder of the layout stands now, for `read`: one that is a link is followed once, for all of its files. */
  hold(folder: string): Promise<string>
  /**
   * @param path `<folder>/<file>`, the folder as it is called or as `hold` gave it
   * @throws CertError LAYOUT_INVALID (more than any certificate needs), CLOUD_UNAVAILABLE, CREDENTIALS_MISSING
   */
  read(path: string, signal: AbortSignal): Promise<Look<string>>
  /** What its folders are called, archives and whatever else lies there; absent where that cannot be asked. */
  folders?(signal: AbortSignal): Promise<Look<readonly string[]>>
}

/** @param prefix as `keyPrefix` returns it */
export const bucketSource = (
  store: Pick<ObjectStore, 'name' | 'read'> & Partial<Pick<ObjectStore, 'folders'>>,
  prefix: string,
): LayoutSource => ({
  ...(store.folders && { folders: (signal) => store.folders?.(prefix, signal) ?? Promise.resolve(notThere) }),
  name: `${store.name}/${prefix}`,
  hold: async (folder) => folder,
  read: async (path, signal) => {
    const called = `${store.name}/${prefix}${path}`
    const look = await store.read(`${prefix}${path}`, signal).catch((error: unknown) => {
      const isLarge = error instanceof CertError && systemCode(error.cause) === answerTooLarge
      throw isLarge ? tooLarge(called) : error
    })
    if (look.status === 'found' && Buffer.byteLength(look.value) > materialLimit) throw tooLarge(called)
    return look
  },
})

const notThere = { status: 'absent' } as const

/** @param directory an absolute path */
export const directorySource = (directory: string): LayoutSource => ({
  name: join(directory, '/'),
  hold: async (folder) => await realpath(join(directory, folder)).catch(() => folder),
  read: async (path) => {
    const file = resolve(directory, path)
    return await readSmall(file).catch(unreadable(file))
  },
  folders: async () => await foldersOf(directory).catch(unreadable(directory)),
})

const unreadable =
  (file: string) =>
  (error: unknown): Look<never> => {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return { status: 'absent' }
    if (code === undefined) throw error
    const hint = `it has to be readable by this user: ls -l ${file}`
    return {
      status: 'refused',
      error: new CertError('FILE_UNREADABLE', `${file} cannot be read: ${code}`, { cause: error, hint }),
    }
  }

const foldersOf = async (directory: string): Promise<Look<readonly string[]>> => {
  const entries = await readdir(directory, { withFileTypes: true })
  // What `latest` leads to where an archive was mended begins with a dot.
  const folders = entries.filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
  return { status: 'found', value: folders.map(({ name }) => name) }
}

const readSmall = async (file: string): Promise<Look<string>> => {
  let handle: FileHandle | undefined
  try {
    handle = await open(file, 'r')
    const about = await handle.stat()
    if (!about.isFile()) return { status: 'absent' }
    if (about.size > materialLimit) throw tooLarge(file)
    return { status: 'found', value: await handle.readFile('utf8') }
  } finally {
    await handle?.close()
  }
}

const tooLarge = (what: string): CertError =>
  new CertError('LAYOUT_INVALID', `${what} is larger than 1 MiB`, {
    hint: 'that is no file of a certificate: look at what wrote it',
  })

/**
 * Where a target of the kind `oss` or `directory` writes its layout, to be read; undefined for any other kind.
 * @throws CertError USAGE
 */
export const layoutSource = (
  kind: string,
  settings: TargetSettings,
  context: Omit<OssClientOptions, 'bucket' | 'endpoint' | 'bucketEndpoint'>,
): LayoutSource | undefined => {
  const text = (name: string): string | undefined => {
    const value = settings[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  if (kind === 'directory') return directorySource(resolve(text('path') ?? ''))
  if (kind !== 'oss') return undefined
  const bucket = text('bucket') ?? ''
  const cnameEndpoint = settings['cname-endpoint'] === true
  const endpoint = ossEndpoint({ bucket, region: text('region'), endpoint: text('endpoint'), cnameEndpoint })
  // Objects are all that is read here: nothing goes to the bucket's own endpoint.
  const store = new OssBucket({ ...context, bucket, endpoint, bucketEndpoint: endpoint })
  return bucketSource(store, keyPrefix(text('prefix') ?? ''))
}
