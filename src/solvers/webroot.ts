import { constants } from 'node:fs'
import { mkdir, open, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CertError, systemCode } from '../errors.js'
import type { Challenge, Solver } from './solver.js'

export interface WebrootOptions {
  /** The folder that a web server on port 80 serves for every name of the certificate. */
  readonly folder: string
}

/** Answers http-01 with a file in the folder of a web server that is running already. */
export const webroot = ({ folder }: WebrootOptions): Solver => {
  const wellKnown = join(folder, '.well-known')
  /** What was not there before, the inner one first. */
  const made = new Set<string>()
  const makeReadable = async (path: string): Promise<void> => {
    try {
      await mkdir(path)
      made.add(path)
      await makePublic(path, constants.O_RDONLY | constants.O_DIRECTORY, 0o755)
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error
    }
  }
  const fileOf = ({ token }: Challenge) => {
    // Whoever it came from: nothing is written or removed anywhere else, since we may be root.
    if (!/^[\w-]+$/.test(token)) {
      throw new CertError('SOLVER_FAILED', 'the token of a challenge is no name for a file, and was left alone', {
        hint: 'it comes from the CA, or from an order in progress in the state folder: see what is wrong there',
      })
    }
    return join(wellKnown, 'acme-challenge', token)
  }
  const failed = (error: unknown): CertError =>
    new CertError(
      'SOLVER_FAILED',
      `the challenge's file cannot be written into ${folder}: ${systemCode(error) ?? String(error)}`,
      {
        cause: error,
        hint:
          systemCode(error) === 'EROFS'
            ? 'the timer may write only where install.sh found that it has to: run ./install.sh again'
            : 'check that --webroot is the folder that the web server serves, and that this user may write into it',
      },
    )
  return {
    answers: 'http-01',
    open: async () => {
      const found = await stat(folder).catch((error: unknown) => {
        throw failed(error)
      })
      if (!found.isDirectory()) throw failed(Object.assign(new Error('not a folder'), { code: 'ENOTDIR' }))
    },
    present: async (challenge) => {
      const file = fileOf(challenge)
      try {
        for (let tries = 1; ; tries++) {
          try {
            await makeReadable(wellKnown)
            await makeReadable(join(wellKnown, 'acme-challenge'))
            // Another order may have it there, and the CA may be looking.
            if (await holds(file, challenge.value)) break
            await rm(file, { force: true })
            await makePublic(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644, challenge.value)
            break
          } catch (error) {
            // Another run has just taken the folder away, since nothing was in it, or put the same answer there.
            if (!['ENOENT', 'EEXIST'].includes(systemCode(error) ?? '') || tries === 5) throw error
          }
        }
      } catch (error) {
        throw failed(error)
      }
    },
    cleanUp: async (challenge) => {
      await rm(fileOf(challenge), { force: true })
    },
    close: async () => {
      // Only if nobody else keeps anything in them; the inner one first, whichever was on record first: several answers
      // are put there at once.
      for (const path of [...made].sort((a, b) => b.length - a.length)) await rmdir(path).catch(() => undefined)
    },
  }
}

const holds = async (path: string, content: string): Promise<boolean> => {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  )
  try {
    const found = await handle?.stat()
    const isWhole = found?.isFile() && (found.mode & 0o777) === 0o644 && found.size === Buffer.byteLength(content)
    return isWhole === true && (await handle?.readFile('utf8')) === content
  } finally {
    await handle?.close()
  }
}

/**
 * The web server may run as anybody, whatever our umask; the answer is no secret. The folder may belong to somebody else:
 * a link that they put in the place is not followed, since we may be root.
 */
const makePublic = async (path: string, flags: number, mode: number, content?: string): Promise<void> => {
  const handle = await open(path, flags | constants.O_NOFOLLOW, mode)
  try {
    await handle.chmod(mode)
    if (content !== undefined) await handle.writeFile(content)
  } finally {
    await handle.close()
  }
}
