package kizashi.peer;

import java.nio.charset.StandardCharsets;

/** Texts with escapes, which are rare. */
final class Escapes {
    private Escapes() {}

    static String undo(byte[] in, int from, int to) {
        String text = new String(in, from, to - from, StandardCharsets.UTF_8);
        StringBuilder out = new StringBuilder(text.length());
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c != '\\') {
                out.append(c);
                continue;
            }
            c = text.charAt(++i);
            if (c == 'u') {
                out.append((char) Integer.parseInt(text, i + 1, i + 5, 16));
                i += 4;
            } else {
                int which = "bfnrt".indexOf(c);
                out.append(which < 0 ? c : "\b\f\n\r\t".charAt(which));
            }
        }
        return out.toString();
    }
}
