import type { ServerResponse } from 'node:http'

/** What goes back to the client. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** The error code, for the journal. */
  readonly code?: string | undefined
}

/** Header values are UTF-8 inside the emulator and bytes on the wire. */
const latin1 = (utf8: string): string => Buffer.from(utf8, 'utf8').toString('latin1')

const writeHead = (response: ServerResponse, answer: Answer, length: number): void => {
  for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, latin1(value))
  const bodiless = answer.status === 204 || answer.status === 304
  if (!bodiless && !response.hasHeader('Content-Length')) response.setHeader('Content-Length', length)
  response.writeHead(answer.status)
}

export const send = (response: ServerResponse, answer: Answer): void => {
  writeHead(response, answer, answer.body.length)
  response.end(answer.body)
}

/** Announces more than it sends, then hangs up. */
export const sendCut = (response: ServerResponse, answer: Answer): void => {
  response.removeHeader('Content-Length')
  const { 'Content-Length': _, ...headers } = answer.headers
  writeHead(
    response,
    { ...answer, headers, status: answer.status === 204 ? 200 : answer.status },
    answer.body.length + 64,
  )
  response.flushHeaders()
  response.write(answer.body.subarray(0, Math.ceil(answer.body.length / 2)))
  response.socket?.destroySoon()
}

/** What a proxy in front of the service shows when it cannot reach it. */
export const htmlPage = (status: number): Answer => ({
  status,
  headers: { 'Content-Type': 'text/html', Server: 'nginx' },
  body: Buffer.from(
    `<html>\n<head><title>${status} Error</title></head>\n<body><h1>${status} Error</h1><hr>nginx</body>\n</html>\n`,
  ),
})
