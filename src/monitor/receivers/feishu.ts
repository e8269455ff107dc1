import { createHmac } from 'node:crypto'
import { plainText } from '../alert-message.js'
import { jsonHeaders, type Receiver, refusedByCode } from './receiver.js'

// It takes 20 KB, with all that JSON puts around them.
const longest = 15_000

/** A custom bot in a group of Feishu or Lark. */
export const feishu: Receiver = {
  request: (message, { url, secret }, now) => ({
    url,
    headers: jsonHeaders,
    body: JSON.stringify({
      ...(secret !== undefined && signature(secret, now)),
      msg_type: 'text',
      content: { text: plainText(message, longest) },
    }),
  }),
  refusal: (answer) =>
    refusedByCode(answer, {
      code: ['code', 'StatusCode'],
      words: 'msg',
      hints: {
        '9499': 'a bot takes 100 messages a minute, and 5 a second',
        '11232': 'a bot takes 100 messages a minute, and 5 a second',
        '19001': 'the token in its URL is not known (any more): copy the URL of the bot once more',
        '19021': 'give the secret of its signature as secret-file; and is the clock right?',
        '19022': "add this machine's address to the list in the bot's settings",
        '19024': "add acme-oss to the keywords in the bot's settings",
      },
      passing: ['9499', '11232'],
    }),
}

/** What is signed is the key, and the text is empty: so it is asked for. */
const signature = (secret: string, now: Date) => {
  const timestamp = `${Math.floor(now.getTime() / 1000)}`
  return { timestamp, sign: createHmac('sha256', `${timestamp}\n${secret}`).update('').digest('base64') }
}
