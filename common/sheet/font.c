#include "font.h"

#include <ctype.h>
#include <string.h>

enum { ACROSS = 5, DOWN = 9 };

/* Glyphs of 5 x 9 with a blank column between them; the baseline is below the seventh row. */
static const struct strip {
  const char *glyphs, *rows[DOWN];
} strips[] = {{"abcdefghijklm",
               {"      #               #         ##        #       #      #  #      ##        ",
                "      #               #        #          #                 #       #        ",
                " ###  ####   ####  ####  ###  ####   #### ####   ##     ##  #  #    #   ## # ",
                "    # #   # #     #   # #   #  #    #   # #   #   #      #  # #     #   # # #",
                " #### #   # #     #   # #####  #    #   # #   #   #      #  ##      #   # # #",
                "#   # #   # #     #   # #      #    #   # #   #   #      #  # #     #   # # #",
                " #### ####   ####  ####  ###   #     #### #   #  ###     #  #  #   ###  # # #",
                "                                        #                #                   ",
                "                                     ###               ##                    "}},
              {"nopqrstuvwxyz",
               {"                                     #                                       ",
                "                                     #                                       ",
                "####   ###  ####   #### # ##   #### ####  #   # #   # # # # #   # #   # #####",
                "#   # #   # #   # #   # ##    #      #    #   # #   # # # #  # #  #   #    # ",
                "#   # #   # #   # #   # #      ###   #    #   # #   # # # #   #   #   #   #  ",
                "#   # #   # #   # #   # #         #  #    #   #  # #  # # #  # #  #   #  #   ",
                "#   #  ###  ####   #### #     ####    ##   ####   #    # #  #   #  #### #####",
                "            #         #                                               #      ",
                "            #         #                                            ###       "}},
              {"0123456789.,-",
               {" ###    #    ###  ####     #  #####  ###  #####  ###   ###                   ",
                "#   #  ##   #   #     #   ##  #     #         # #   # #   #                  ",
                "#  ##   #       #     #  # #  ####  #        #  #   # #   #                  ",
                "# # #   #     ##   ###  #  #      # ####    #    ###   ####              ### ",
                "##  #   #    #        # #####     # #   #   #   #   #     #                  ",
                "#   #   #   #         #    #  #   # #   #   #   #   #     #  ##    ##        ",
                " ###   ###  ##### ####     #   ###   ###    #    ###   ###   ##    ##        ",
                "                                                                    #        ",
                "                                                                   #         "}},
              {"+=:/@_>()%?  ",
               {"                      #  ###                 #   #    ##  #  ###             ",
                "                      # #   #       #       #     #   ##  # #   #            ",
                "  #   ####   ##      #  # ###        ##     #     #      #      #            ",
                " ###         ##     #   # # #          #    #     #     #     ##             ",
                "  #   ####         #    # ###        ##     #     #    #      #              ",
                "             ##   #     #           #       #     #   #  ##                  ",
                "             ##   #      ###                 #   #    #  ##   #              ",
                "                              #####                                          ",
                "                                                                             "}}};
enum { N_STRIPS = sizeof strips / sizeof *strips };

/* The glyph's strip, and its first column there. Capitals are written small; what is missing is a '?'. */
static const struct strip *find(char c, size_t *column) {
  char small = (char)tolower((unsigned char)c);
  for (int s = 0; s < N_STRIPS; s++) {
    const char *at = strchr(strips[s].glyphs, small);
    if (!at || !*at) continue;
    *column = (size_t)(at - strips[s].glyphs) * (ACROSS + 1);
    return &strips[s];
  }
  return find('?', column);
}

static void draw_dot(const struct image *image, int32_t x, int32_t y, int32_t scale,
                     const uint8_t colour[3]) {
  for (int32_t v = y; v < y + scale; v++)
    for (int32_t u = x; u < x + scale; u++)
      if (u >= 0 && u < image->width && v >= 0 && v < image->height)
        memcpy(image->pixels + 3 * ((size_t)v * (size_t)image->width + (size_t)u), colour, 3);
}

void font_draw(const struct image *image, int32_t x, int32_t y, const char *text, size_t n, int32_t scale,
               const uint8_t colour[3]) {
  for (size_t i = 0; i < n; i++, x += FONT_WIDTH * scale) {
    size_t column;
    const struct strip *strip = find(text[i], &column);
    for (int32_t v = 0; v < DOWN; v++)
      for (int32_t u = 0; u < ACROSS; u++)
        if (strip->rows[v][column + (size_t)u] == '#')
          draw_dot(image, x + u * scale, y + v * scale, scale, colour);
  }
}
